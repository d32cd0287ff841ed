// Answers with an exported model in Node. First: npm install --ignore-scripts
//
//     node example.mjs "a text" …           one JSON object per text
//     node example.mjs --check check.jsonl  compares with the answers that the model gave before its export
//
// RUNTIME=onnxruntime-web runs the WebAssembly that a browser runs; else it is onnxruntime-node.
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { check, openModel, runOf } from "./answer.mjs";

const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const ort = await import(process.env.RUNTIME ?? "onnxruntime-node");
const form = JSON.parse(read("model.json"));
const files = {
  model: form,
  [form.reading]: JSON.parse(read(`${form.reading}.json`)),
  spelling: form.spelling ? read("spelling.txt") : null,
};
const graph = readFileSync(new URL(form.graph, import.meta.url));
const session = await ort.InferenceSession.create(graph);
const model = openModel(Tokenizer, files, runOf(ort, session));
const [first, ...rest] = process.argv.slice(2);
if (first === "--check") {
  console.log(JSON.stringify(await check(model, readFileSync(rest[0], "utf8"))));
} else {
  for (const text of [first, ...rest]) console.log(JSON.stringify(await model.answer(text)));
}
