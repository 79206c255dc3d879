// Prints zod.jsonl: `NODE_PATH=<node_modules with zod 4> node tests/schemas/data/zod.mjs > tests/schemas/data/zod.jsonl`
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.cwd() + "/");
const { z } = await import(pathToFileURL(require.resolve("zod", { paths: (process.env.NODE_PATH ?? "").split(":") })));

const node = z.object({ value: z.string(), get children() { return z.array(node); } });
const kinds = {
  email: z.email(), uuid: z.uuid(), guid: z.guid(), url: z.url(), datetime: z.iso.datetime(), offset: z.iso.datetime({ offset: true }),
  date: z.iso.date(), time: z.iso.time(), duration: z.iso.duration(), ipv4: z.ipv4(), ipv6: z.ipv6(), cidrv4: z.cidrv4(),
  base64: z.base64(), base64url: z.base64url(), e164: z.e164(), jwt: z.jwt(), cuid: z.cuid(), cuid2: z.cuid2(), ulid: z.ulid(),
  nanoid: z.nanoid(), emoji: z.emoji(), regex: z.string().regex(/^[A-Z]{2,3}-\d+$/), open: z.string().regex(/\d/),
  starts: z.string().startsWith("https://"), ends: z.string().endsWith(".py"), includes: z.string().includes("x"),
  lower: z.string().lowercase(), lengths: z.string().min(2).max(8), both: z.string().regex(/^[a-z]+$/).max(8).min(3),
  literal: z.literal("on"), literals: z.literal(["on", 1, true, null]), choice: z.enum(["red", "green"]),
  int: z.int(), int32: z.int32(), uint32: z.uint32(), float32: z.float32(), positive: z.number().positive(),
  cents: z.number().multipleOf(0.01), steps: z.int().multipleOf(5).min(0).max(50), range: z.number().gt(0).lt(1),
  nullable: z.string().nullable(), tuple: z.tuple([z.string(), z.number()]), open_tuple: z.tuple([z.string()], z.number()),
  few: z.array(z.boolean()).min(1).max(3), length: z.array(z.string()).length(2), record: z.record(z.string(), z.number()),
  keys: z.record(z.enum(["a", "b"]), z.number()), union: z.union([z.string(), z.number(), z.array(z.string())]),
  told: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("a"), x: z.string() }), z.object({ kind: z.literal("b"), y: z.number() }),
  ]),
  both_of: z.intersection(z.object({ a: z.string() }), z.object({ b: z.number() })), strict: z.strictObject({ a: z.string() }),
  loose: z.looseObject({ a: z.string() }), rest: z.object({ a: z.string() }).catchall(z.number()),
  optional: z.object({ a: z.string().optional(), b: z.number().default(3) }), readonly: z.array(z.string()).readonly(),
  described: z.string().describe("A name.").meta({ title: "Name", examples: ["x"] }), any: z.any(), unknown: z.unknown(), tree: node,
  json: z.json(), template: z.templateLiteral(["v", z.number(), ".", z.enum(["x", "y"])]), hex: z.hex(), hostname: z.hostname(),
};
for (const [name, kind] of Object.entries(kinds)) {
  const schema = z.toJSONSchema(z.object({ a: kind }), { unrepresentable: "any" });
  console.log(JSON.stringify({ name: `zod: ${name}`, schema }));
}
for (const name of ["told", "tree", "union", "keys", "both", "datetime"]) {
  for (const target of ["draft-7", "openapi-3.0"]) {
    const schema = z.toJSONSchema(z.object({ a: kinds[name] }), { unrepresentable: "any", target });
    console.log(JSON.stringify({ name: `zod ${target}: ${name}`, schema }));
  }
}
