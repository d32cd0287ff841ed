"""The file of an encoder's graph, and the names of what it takes and gives."""

GRAPH_FILE = "model.onnx"
INPUT, CODE_INPUT = "input_ids", "codes"
OUTPUT, EMBEDDING, TAGS, TOKENS = "logits", "embedding", "tags", "tokens"
