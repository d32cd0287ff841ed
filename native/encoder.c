/* Opening, checking, running and closing. Nothing that comes from outside is used before it was checked here. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define MAX_COUNT (1 << 20) /* of anything but the vocabulary's and the weights' numbers */
#define MAX_WIDTH (1 << 15) /* of a linear layer: 255 * 64 * 2^15 < 2^31 with a zero point's part as much */
#define HUGE_PAGE ((size_t)2 << 20)

int32_t nanosmith_abi(void) { return ABI; }

int32_t nanosmith_supports(int32_t kernel) {
    if (kernel == PORTABLE) return 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (kernel == AVX2) return avx2;
    if (kernel == AVX512_VNNI)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#endif
    return 0;
}

static int within(int32_t value, int32_t low, int32_t high) { return value >= low && value <= high; }

static int linear_fits(const struct linear *linear, int32_t inner, int32_t outer) {
    return linear->inner == inner && linear->outer == outer && within(inner, 8, MAX_WIDTH) &&
           within(outer, 8, MAX_WIDTH) && inner % 8 == 0 && linear->weight && linear->scale && linear->factor;
}

static int layer_fits(const struct layer *layer, int32_t width) {
    const int32_t attended = layer->attention_out.inner, inner = layer->down.inner;
    return within(layer->heads, 1, MAX_WIDTH) && within(attended, 8, MAX_WIDTH) && attended % (8 * layer->heads) == 0 &&
           linear_fits(&layer->qkv, width, 3 * attended) && linear_fits(&layer->attention_out, attended, width) &&
           linear_fits(&layer->up, width, inner) && linear_fits(&layer->down, inner, width) && layer->norm1_scale &&
           layer->norm1_shift && layer->norm2_scale && layer->norm2_shift;
}

static int description_fits(const struct description *is) {
    int fits = within(is->vocabulary, 1, 1 << 26) && within(is->width, 8, MAX_WIDTH) && is->width % 8 == 0 &&
               within(is->layer_count, 0, 1000) && within(is->max_tokens, 1, MAX_ROW_TOKENS) &&
               within(is->codes, 0, MAX_COUNT) && within(is->labels, 0, MAX_COUNT) && within(is->tags, 0, MAX_COUNT);
    fits = fits && is->words && is->word_scales && is->positions && is->norm_scale && is->norm_shift;
    fits = fits && (!is->layer_count || is->layers) && (!is->codes || is->code_table);
    fits = fits && (!is->labels || (is->head_weight && is->head_bias));
    fits = fits && (!is->tags || (is->tag_weight && is->tag_bias));
    for (int32_t i = 0; fits && i < is->layer_count; i++) fits = layer_fits(&is->layers[i], is->width);
    return fits;
}

/* Zeroed memory for weights, in huge pages where the system has them: a pass reads all of it. */
static void *weights_memory(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, HUGE_PAGE, padded(bytes, HUGE_PAGE))) return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, padded(bytes, HUGE_PAGE), MADV_HUGEPAGE);
#endif
    memset(memory, 0, padded(bytes, HUGE_PAGE));
    return memory;
}

static int pack_layers(struct encoder *encoder, int sums_in_16_bits) {
    int8_t *place = encoder->weights;
    int failed = OK;
    for (int32_t i = 0; !failed && i < encoder->is.layer_count; i++) {
        const struct layer *from = &encoder->sources[i];
        struct packed_layer *to = &encoder->layers[i];
        const struct linear *parts[] = {&from->qkv, &from->attention_out, &from->up, &from->down};
        struct packed *packed[] = {&to->qkv, &to->attention_out, &to->up, &to->down};
        for (int part = 0; !failed && part < 4; part++) {
            failed = pack(packed[part], parts[part], place, sums_in_16_bits);
            place += packed_bytes(parts[part]);
        }
    }
    return failed;
}

static void choose_kernel(struct encoder *encoder, int32_t kernel) {
    encoder->multiply = multiply_portable;
    encoder->forward = forward_portable;
#if defined(__x86_64__)
    if (kernel == PORTABLE) return;
    encoder->multiply = kernel == AVX2 ? multiply_avx2 : multiply_vnni;
    encoder->forward = forward_avx2;
#else
    (void)kernel;
#endif
}

static int copy_description(struct encoder *encoder, const struct description *description) {
    encoder->is = *description;
    const size_t count = (size_t)description->layer_count;
    encoder->layers = calloc(count + 1, sizeof *encoder->layers);
    encoder->sources = calloc(count + 1, sizeof *encoder->sources);
    if (!encoder->layers || !encoder->sources) return NO_MEMORY;
    if (count) memcpy(encoder->sources, description->layers, count * sizeof *encoder->sources);
    for (size_t i = 0; i < count; i++) {
        const struct layer *layer = &encoder->sources[i];
        encoder->weights_bytes += packed_bytes(&layer->qkv) + packed_bytes(&layer->attention_out) +
                                  packed_bytes(&layer->up) + packed_bytes(&layer->down);
    }
    encoder->weights = weights_memory(encoder->weights_bytes + 1);
    return encoder->weights ? OK : NO_MEMORY;
}

int32_t nanosmith_open(const struct description *description, int32_t kernel, struct encoder **opened) {
    if (!description || !opened || !description_fits(description)) return BAD_SHAPE;
    if (!nanosmith_supports(kernel)) return BAD_KERNEL;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder) return NO_MEMORY;
    choose_kernel(encoder, kernel);
    int failed = copy_description(encoder, description);
    if (!failed) failed = pack_layers(encoder, kernel == AVX2);
    if (failed) {
        nanosmith_close(encoder);
        return failed;
    }
    *opened = encoder;
    return OK;
}

void nanosmith_close(struct encoder *encoder) {
    if (!encoder) return;
    for (int32_t i = 0; encoder->layers && i < encoder->is.layer_count; i++) {
        free_packed(&encoder->layers[i].qkv);
        free_packed(&encoder->layers[i].attention_out);
        free_packed(&encoder->layers[i].up);
        free_packed(&encoder->layers[i].down);
    }
    free(encoder->layers);
    free(encoder->sources);
    free(encoder->weights);
    free(encoder->spare);
    free(encoder);
}

static int row_fits(const struct description *is, const struct request *request, int32_t row, size_t first) {
    for (int32_t t = 0; t < request->lengths[row]; t++) {
        const size_t at = first + (size_t)t;
        if (!within(request->ids[at], 0, is->vocabulary - 1)) return 0;
        if (is->codes && !within(request->codes[at], 0, is->codes - 1)) return 0;
    }
    return 1;
}

int32_t nanosmith_run(struct encoder *encoder, const struct request *request) {
    if (!encoder || !request || !within(request->rows, 0, MAX_COUNT)) return BAD_SHAPE;
    const struct description *is = &encoder->is;
    if ((request->logits && !is->labels) || (request->tags && !is->tags)) return BAD_SHAPE;
    if ((request->codes != NULL) != (is->codes > 0)) return BAD_SHAPE;
    if (request->rows && (!request->lengths || !request->ids)) return BAD_SHAPE;
    size_t first = 0;
    for (int32_t row = 0; row < request->rows; row++) {
        if (!within(request->lengths[row], 1, is->max_tokens)) return BAD_SHAPE;
        if (!row_fits(is, request, row, first)) return BAD_ID;
        first += (size_t)request->lengths[row];
    }
    if (first > INT32_MAX / 2) return BAD_SHAPE;
    return encoder->forward(encoder, request);
}

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

/* The widest rows that a pass writes or quantises. */
struct widths {
    size_t wide, mixed, quantised;
    size_t head; /* of one head's query */
};

static struct widths widths_of(const struct encoder *encoder) {
    struct widths found = {8, (size_t)encoder->is.width, 8, 8};
    for (int32_t i = 0; i < encoder->is.layer_count; i++) {
        const struct packed_layer *layer = &encoder->layers[i];
        const size_t attended = (size_t)layer->attention_out.inner;
        found.wide = largest(found.wide, largest((size_t)layer->qkv.outer, (size_t)layer->up.outer));
        found.mixed = largest(found.mixed, largest(attended, (size_t)layer->down.outer));
        found.quantised = largest(found.quantised, largest((size_t)layer->down.inner, (size_t)layer->qkv.inner));
        found.quantised = largest(found.quantised, attended);
        found.head = largest(found.head, attended / (size_t)encoder->sources[i].heads);
    }
    return found;
}

/* Cuts bytes off a block of memory. */
static void *cut(char **place, size_t bytes) {
    void *found = *place;
    *place += padded(bytes, ALIGNMENT);
    return found;
}

static struct scratch *new_scratch(const struct encoder *encoder, int32_t tokens, int32_t row_tokens) {
    const struct widths widths = widths_of(encoder);
    const size_t rows = (size_t)tokens, columns = padded((size_t)row_tokens, 8), one = sizeof(float);
    const size_t hidden = rows * (size_t)encoder->is.width * one, wide = rows * widths.wide * one;
    const size_t mixed = rows * widths.mixed * one, keys = widths.head * columns * one;
    const size_t scores = QUERIES * columns * one, bytes = rows * widths.quantised;
    const size_t labels = (size_t)encoder->is.labels, tags = (size_t)encoder->is.tags;
    const size_t heads = HEAD_ROWS * padded(largest(labels, tags), 8) * one;
    const size_t sizes[] = {sizeof(struct scratch), hidden, wide, mixed, keys, scores, bytes, rows * one, rows * one,
                            heads};
    size_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) total += padded(sizes[i], ALIGNMENT);
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, total)) return NULL;
    char *place = memory;
    struct scratch *scratch = cut(&place, sizeof *scratch);
    scratch->tokens = tokens;
    scratch->row_tokens = row_tokens;
    scratch->hidden = cut(&place, hidden);
    scratch->wide = cut(&place, wide);
    scratch->mixed = cut(&place, mixed);
    scratch->keys = cut(&place, keys);
    scratch->scores = cut(&place, scores);
    scratch->quantised.values = cut(&place, bytes);
    scratch->quantised.scales = cut(&place, rows * one);
    scratch->quantised.zeros = cut(&place, rows * one);
    scratch->heads = cut(&place, heads);
    return scratch;
}

/* The spare one where it is large enough: memory that was just used is in the caches, and no page of it is new. */
struct scratch *take_scratch(struct encoder *encoder, int32_t tokens, int32_t row_tokens) {
    struct scratch *spare = __atomic_exchange_n(&encoder->spare, NULL, __ATOMIC_ACQUIRE);
    if (spare && spare->tokens >= tokens && spare->row_tokens >= row_tokens) return spare;
    free(spare);
    return new_scratch(encoder, (int32_t)padded((size_t)tokens, PASS_TOKENS),
                       (int32_t)padded((size_t)row_tokens, PASS_TOKENS));
}

void give_scratch(struct encoder *encoder, struct scratch *scratch) {
    free(__atomic_exchange_n(&encoder->spare, scratch, __ATOMIC_RELEASE));
}
