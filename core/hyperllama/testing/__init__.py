"""What a plugin author tests with: contract suites, fakes, fixtures. Needs pytest; the gateway never imports it.

==================  ============================================================
``engine``          ``EngineContract``: what every engine promises
``embeddings``      ``EmbeddingContract``: and one whose models make vectors
``protocol``        ``ProtocolContract``: what every dialect promises
``fakes``           a gateway in memory
``chunks``          texts as engines stream them, for transforms and encoders
``fixtures``        ``hyperllama_gateway``, ``hyperllama_config``, ``hyperllama_caller``; loaded by pytest itself
==================  ============================================================
"""
