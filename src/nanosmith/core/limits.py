"""Every limit in one place, with its unit."""

MIN_EXAMPLES = 10  # examples in a training file, as in the OpenAI fine-tuning rules
MAX_EXAMPLE_TOKENS = 65_536  # OpenAI's limit of one training example; longer ones are truncated from the end
MAX_INPUT_CHARS = 131_072  # characters of one request's input; above it: context_length_exceeded
MAX_ENCODER_TOKENS = 256  # tokens an encoder reads of one input; the rest is dropped and reported
MAX_LABELS = 1_000  # different labels of one task
MAX_FILE_BYTES = 512 * 1024**2  # one uploaded file
MAX_BODY_BYTES = 16 * 1024**2  # a JSON request body
