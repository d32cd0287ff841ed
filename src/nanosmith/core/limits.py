"""Every limit in one place, with its unit."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

MIN_EXAMPLES = 10  # examples in a training file, as in the OpenAI fine-tuning rules
MAX_EXAMPLE_TOKENS = 65_536  # OpenAI's limit of one training example; longer ones are truncated from the end
MAX_INPUT_CHARS = 131_072  # characters of one request's input; above it: context_length_exceeded
MAX_ENCODER_TOKENS = 256  # tokens an encoder reads of one input; the rest is dropped and reported
MAX_TFIDF_WORDS = 2_048  # words that TF-IDF reads of one input
MAX_EMBEDDED_TEXTS = 2_048  # of one request for embeddings
MAX_EMBEDDED_TOKENS = 300_000  # that are read for one request for embeddings
MAX_LABELS = 1_000  # different labels of one task
MAX_FILE_BYTES = 512 * 1024**2  # one uploaded file, in parts or not (OpenAI's limit of a file in parts: 8 GB)
MAX_PART_BYTES = 64 * 1024**2  # one part of an upload
MAX_UPLOAD_PARTS = 1_000  # parts of one upload
MAX_STORED_BYTES = 1024**2  # a stored chat completion, with its request
MAX_BODY_BYTES = 16 * 1024**2  # a JSON request body
MAX_HEAD_BYTES = 64 * 1024  # a request's line and headers
MAX_PIPELINED_REQUESTS = 16  # that may wait on one connection for their answers
MAX_OPEN_MODELS = 4  # models a server keeps in memory
MAX_KEPT_ANSWER_BYTES = 32_000_000  # of answers that a server keeps to give them again
MAX_WAITING_PREDICTIONS = 512  # predictions that may wait at a server; above it: 429
MAX_WRITERS = 8  # texts that one model writes at a time, in turns
MAX_WAITING_WRITERS = 64  # texts that may wait for that, of one model; above it: 429
MAX_WRITER_WAIT_S = 60  # how long a text may wait for that; then: 429
MAX_WRITING_S = 600  # how long a text may take, OpenAI's client waits no longer
MAX_BATCH_REQUESTS = 50_000  # lines of one batch
MAX_BATCH_BYTES = 200 * 1024**2  # the input file of one batch
MAX_LINE_BYTES = 16 * 1024**2  # one line of a data file
MAX_EXPLAINING_RUNS = 128  # predictions for the explanation of one answer
MAX_EXPLAINING_TOKENS = 8_192  # that these read together: about a second of an encoder
MAX_WAITING_EXPLANATIONS = 8  # explanations that may wait at a server, where one is made at a time; above it: 429
MAX_EXAMPLES = 1_000_000  # examples of one data file; all are held in memory
MAX_MESSAGES = 1_000  # messages of one conversation
MAX_PROBLEMS = 100_000  # problems of one data file, after which reading stops
MAX_GRADED_CHARS = 32_768  # characters of a text whose similarity is measured
MAX_FUZZY_CHARS = 2_000  # the same for fuzzy_match, whose time grows faster than with the square
MAX_SUB_GRADERS = 16  # graders of one multi grader
MAX_FORMULA_CHARS = 1_000  # a multi grader's formula
MAX_GRADER_SOURCE_CHARS = 262_144  # the source of a python grader
MAX_JSON_DEPTH = 128  # levels of the JSON of a request, and of JSON that is kept as it came
MAX_JSON_VALUES = 500_000  # values of the JSON of a request; a value of three bytes takes a hundred in memory
MAX_BOUNDARY_CHARS = 70  # a multipart body's boundary (RFC 2046)
MAX_METADATA_PAIRS = 16  # of one object, or of a filter
MAX_RANGES = 16  # of one request for a file's content
MAX_SCHEMA_STEPS = 100_000  # of checking values against one JSON Schema: about 0.1 s
MAX_STALL_S = 30  # a body must bring MIN_STALL_BYTES each time that it was waited for so long, or its end
MIN_STALL_BYTES = 16 * 1024
MAX_EVAL_CRITERIA = 64  # testing criteria of one eval

AtLeastOne: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class ProjectLimits(msgspec.Struct, frozen=True):
    """What a project, or one of its keys, may use; None: no limit. `storage_bytes` is of uploaded files and of
    projects alone."""

    requests_per_minute: AtLeastOne | None = None
    tokens_per_minute: AtLeastOne | None = None
    storage_bytes: AtLeastOne | None = None

    @property
    def has_rate(self) -> bool:
        return self.requests_per_minute is not None or self.tokens_per_minute is not None
