"""Every limit in one place, with its unit."""

MIN_EXAMPLES = 10  # examples in a training file, as in the OpenAI fine-tuning rules
MAX_EXAMPLE_TOKENS = 65_536  # OpenAI's limit of one training example; longer ones are truncated from the end
MAX_INPUT_CHARS = 131_072  # characters of one request's input; above it: context_length_exceeded
MAX_ENCODER_TOKENS = 256  # tokens an encoder reads of one input; the rest is dropped and reported
MAX_LABELS = 1_000  # different labels of one task
MAX_FILE_BYTES = 512 * 1024**2  # one uploaded file
MAX_BODY_BYTES = 16 * 1024**2  # a JSON request body
MAX_OPEN_MODELS = 4  # models a server keeps in memory
MAX_WAITING_PREDICTIONS = 512  # predictions that may wait at a server; above it: 429
MAX_LINE_BYTES = 16 * 1024**2  # one line of a data file
MAX_EXAMPLES = 1_000_000  # examples of one data file; all are held in memory
MAX_MESSAGES = 1_000  # messages of one conversation
MAX_PROBLEMS = 100_000  # problems of one data file, after which reading stops
