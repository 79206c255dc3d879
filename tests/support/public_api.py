"""The border of the core as a contract of import-linter: an allowlist, so that a new room is private by default."""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application import contract_utils


class PublicApiContract(Contract):
    """Plugins and protocols import the public modules of a package and nothing else of it.

    Options:
        - package:   The package whose border this is. Its root is public.
        - importers: The packages outside it.
        - public:    Modules that may be imported, with all below them.
        - faces:     Packages that may be imported themselves, and nothing below them.
    """

    type_name = "public_api"

    package = fields.StringField()
    importers = fields.ListField(subfield=fields.StringField())
    public = fields.ListField(subfield=fields.StringField())
    faces = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    ignore_imports = fields.SetField(subfield=fields.ImportExpressionField(), required=False)
    unmatched_ignore_imports_alerting = fields.EnumField(
        contract_utils.AlertLevel, default=contract_utils.AlertLevel.ERROR
    )

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        options: Any = self
        warnings = contract_utils.remove_ignored_imports(
            graph=graph,
            ignore_imports=options.ignore_imports,
            unmatched_alerting=options.unmatched_ignore_imports_alerting,
        )
        links = []
        for root in options.importers:
            for importer in sorted({root, *graph.find_descendants(root)}):
                for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                    if not self._allows(imported):
                        details = graph.get_import_details(importer=importer, imported=imported)
                        links.append((importer, imported, [detail["line_number"] for detail in details]))
        return ContractCheck(kept=not links, warnings=warnings, metadata={"links": links})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, lines in check.metadata["links"]:
            output.print_error(f"- {importer} -> {imported} (l.{', '.join(map(str, lines))})", bold=False)

    def _allows(self, imported: str) -> bool:
        options: Any = self
        if imported.partition(".")[0] != options.package:
            return True
        if imported == options.package or imported in options.faces:
            return True
        return any(imported == module or imported.startswith(f"{module}.") for module in options.public)
