// From a text to the answer of an exported model; the same file runs in Node and in a browser.
//
// model.json says how a text is read and what the scores mean. `run` is a function from named arrays of whole numbers
// to a promise of named arrays of the graph's numbers. Letters: T tokens, D width, L labels.

const CHARS_PER_TOKEN = 24; // that are read of a text
const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const WORD = /[\p{L}\p{Nl}\p{No}]+(?:['’][\p{L}\p{Nl}\p{No}]+)?/gu;
const SHORTEST = 2, LONGEST = 20, SURE = 4, MOST_CORRECTED = 8, RARE = 10, EVIDENCE = 3;
const NEIGHBOUR = 1.5, FIRST_LETTER = 0.7;

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
const product = (numbers) => numbers.reduce((total, one) => total * one, 1);
const indexOfMax = (numbers) => numbers.reduce((best, one, i) => (one > numbers[best] ? i : best), 0);
const chars = (text) => [...text].length;

// --- reading: misspelled words, then tokens ---

// Reads a word that the training texts do not have as one of theirs that is one edit away.
export class Speller {
  constructor(text, isToken) {
    const rows = text.split("\n").filter(Boolean).map((line) => [line.slice(0, line.lastIndexOf(" ")), line]);
    this.counts = new Map(rows.map(([name, line]) => [name, Number(line.slice(name.length + 1))]));
    this.isToken = isToken;
  }

  read(text) {
    const found = [...text.matchAll(WORD)].map((match) => [match.index, match.index + match[0].length]);
    const words = ["^", ...found.map(([a, b]) => text.slice(a, b).toLowerCase().replaceAll("’", "'")), "$"];
    const parts = [];
    let end = 0, lookedAt = 0;
    for (const [place, span] of found.entries()) {
      const around = words.slice(place, place + 3);
      const length = chars(around[1]);
      if (span[0] < end || length < SHORTEST || length > LONGEST || !this.isOdd(...around)) continue;
      lookedAt += 1;
      if (lookedAt > MOST_CORRECTED) break;
      const [word, stop] = this.correction(text, span, ...around);
      if (word) {
        parts.push(text.slice(end, span[0]), word);
        end = stop;
      }
    }
    return [...parts, text.slice(end)].join("");
  }

  correction(text, span, left, word, right) {
    const whole = word + right;
    const apart = this.counts.has(`${word} ${right}`) || (this.counts.has(word) && this.counts.has(right));
    if (this.counts.has(whole) && !apart && text[span[1]] === " ") return [whole, span[1] + 1 + right.length];
    return [this.nearest(left, word, right) ?? this.twoWords(word), span[1]];
  }

  isOdd(left, word, right) {
    const known = this.counts.get(word);
    return known === undefined || (known <= RARE && !this.beside(left, word, right).some(Boolean));
  }

  beside(left, word, right) {
    return [this.counts.get(`${left} ${word}`) ?? 0, this.counts.get(`${word} ${right}`) ?? 0];
  }

  nearest(left, word, right) {
    let best = null, highest = -Infinity;
    for (const other of edits(word)) {
      if (!this.counts.has(other) || other === word || other === best) continue;
      const pairs = sum(this.beside(left, other, right).map((pair) => Math.log(1 + pair)));
      const first = other[0] === word[0] ? FIRST_LETTER : 0;
      const likely = Math.log(this.counts.get(other)) + NEIGHBOUR * pairs + first;
      if (likely > highest || (likely === highest && other > best)) [best, highest] = [other, likely];
    }
    return best && this.mayReplace(best, left, word, right) ? best : null;
  }

  mayReplace(other, left, word, right) {
    const beside = this.beside(left, other, right);
    if (this.counts.has(word) || this.isKnown(word)) return Math.min(...beside) >= EVIDENCE;
    return chars(word) >= SURE || sum(beside) >= EVIDENCE;
  }

  twoWords(word) {
    if (this.counts.has(word) || this.isKnown(word)) return null;
    let best = null;
    for (let i = 1; i < word.length; i++) {
      const pair = `${word.slice(0, i)} ${word.slice(i)}`;
      if (this.counts.has(pair) && (best === null || this.counts.get(pair) > this.counts.get(best))) best = pair;
    }
    return best;
  }

  isKnown(word) {
    return word.split("'").every((part) => ["", "Ġ", "▁"].some((start) => this.isToken(start + part)));
  }
}

// All words one edit away: with a letter less, other or more, or two swapped.
function* edits(word) {
  const letters = [...word];
  for (let i = 0; i <= letters.length; i++) {
    const left = letters.slice(0, i).join(""), right = letters.slice(i);
    for (const letter of LETTERS + "'") yield left + letter + right.join("");
    if (!right.length) continue;
    const rest = right.slice(1).join("");
    yield left + rest;
    for (const letter of LETTERS) yield left + letter + rest;
    if (right.length > 1) yield left + right[1] + right[0] + right.slice(2).join("");
  }
}

export function readable(text, maxTokens) {
  const most = maxTokens * CHARS_PER_TOKEN;
  const kept = text.length > most ? [...text].slice(0, most).join("") : text;
  return kept.replace(/\p{Surrogate}/gu, "?"); // half a pair is no text
}

// From a text to the inputs of the graph: ids of tokens.
export class TokenReader {
  constructor(form, Tokenizer, files) {
    this.form = form;
    this.tokenizer = new Tokenizer(files.tokenizer, {});
    this.speller = files.spelling ? new Speller(files.spelling, vocabularyOf(files.tokenizer)) : null;
  }

  inputs(text) {
    const { max_tokens: most, special_tokens: special, empty_id: empty } = this.form;
    const kept = readable(text, most);
    const read = this.speller ? this.speller.read(kept) : kept;
    let ids = this.tokenizer.encode(read, { add_special_tokens: special }).ids;
    if (ids.length > most) {
      const end = special ? ids.slice(-1) : [];
      ids = [...ids.slice(0, most - end.length), ...end];
    }
    return { input_ids: ids.length ? ids : [empty] };
  }
}

function vocabularyOf(tokenizer) {
  const { vocab } = tokenizer.model;
  const names = Array.isArray(vocab) ? vocab.map(([name]) => name) : Object.keys(vocab);
  const known = new Set([...names, ...(tokenizer.added_tokens ?? []).map((token) => token.content)]);
  return (word) => known.has(word);
}

// --- from scores to an answer ---

// The answer to logits (L) and the raw score of "none of these" (undefined where there is none).
export function answer(form, logits, far) {
  const { calibration: scale, labels } = form;
  const scores = Array.from(logits, (score) => score / scale.temperature);
  const { value, confidence, p } = form.kind === "choice" ? oneLabel(labels, scores) : someLabels(labels, scores, scale);
  const found = { answer: value, confidence: scale.examples ? confidence : null };
  if (far !== undefined) {
    found.out_of_scope = outOfScope(form.scope, far);
    if (found.out_of_scope >= 0.5 && form.scope.label !== null) found.answer = form.scope.label;
  }
  return { ...found, probabilities: Object.fromEntries(labels.map((label, i) => [label, p[i]])) };
}

function oneLabel(labels, scores) {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const total = sum(powers);
  const p = powers.map((power) => power / total);
  const best = indexOfMax(p);
  return { value: labels[best], confidence: p[best], p };
}

function someLabels(labels, scores, scale) {
  const p = scores.map((score) => 0.5 * (1 + Math.tanh(0.5 * score)));
  const chosen = reached(p, scale);
  let confidence = product(p.map((q, i) => (chosen[i] ? q : 1 - q)));
  if (scale.at_least_one) {
    confidence = Math.min(1, confidence / Math.max(1e-12, 1 - product(p.map((q) => 1 - q))));
  }
  return { value: labels.filter((_, i) => chosen[i]), confidence, p };
}

// Which labels have a probability of their threshold and more, or the nearest where there must be one.
function reached(p, scale) {
  const thresholds = scale.thresholds.length ? scale.thresholds : p.map(() => 0.5);
  const chosen = p.map((q, i) => q >= thresholds[i]);
  if (scale.at_least_one && !chosen.some(Boolean)) chosen[indexOfMax(p.map((q, i) => q / thresholds[i]))] = true;
  return chosen;
}

// A figure in [0, 1] from the raw score; from 0.5 on the text is about none of the labels.
function outOfScope({ quantiles, examples, refuse }, raw) {
  const above = shareAbove(raw, quantiles, examples);
  return above <= refuse ? 1 - (0.5 * above) / refuse : (0.5 * (1 - above)) / (1 - refuse);
}

function shareAbove(raw, quantiles, examples) {
  const least = 1 / (examples + 2);
  const last = quantiles[quantiles.length - 1];
  const width = Math.max(last - quantiles[0], 1e-9) / 4;
  if (raw >= last) return least * Math.exp((last - raw) / width);
  if (raw < quantiles[0]) return 1 - least * Math.exp((raw - quantiles[0]) / width);
  const place = quantiles.findLastIndex((one) => one <= raw);
  const low = quantiles[place], high = quantiles[place + 1];
  const below = (place + (raw - low) / (high - low)) / (quantiles.length - 1);
  return least + (1 - 2 * least) * (1 - below);
}

// --- models ---

// One label, or several, from the logits of the graph.
class Labels {
  static Reader = TokenReader;

  constructor(form, Tokenizer, files, run) {
    this.form = form;
    this.run = run;
    this.reader = new this.constructor.Reader(form, Tokenizer, files);
  }

  async answer(text) {
    const found = await this.run(this.reader.inputs(text));
    return answer(this.form, this.logits(found), found.far?.[0]);
  }

  logits(found) {
    return found.logits;
  }
}

// The labels of the one query, or the two or three, that a text is taken apart into: of all ways to do so that the
// tags allow, the likeliest by tags and labels together. `tags` (T, 3) are outside, begin, inside.
class Segments extends Labels {
  logits(found) {
    const said = this.form.segments;
    const rows = (name, width) => rowsOf(found[name], width).slice(1, -1);
    const tags = rowsOf(found.tags, 3).map(logSoftmax).slice(1, -1);
    const text = { tags, tokens: rows("tokens", said.width), scores: rows("token_scores", this.form.labels.length) };
    const logs = this.segments(text, logSoftmax(Array.from(found.logits)));
    const each = logs.map(margins);
    return this.form.labels.map((_, i) => Math.max(...each.map((row) => row[i])));
  }

  segments(text, whole) {
    const { sure, starts: count, label_weight: weight, most } = this.form.segments;
    const order = text.tags.map((_, i) => i).sort((a, b) => text.tags[b][1] - text.tags[a][1] || a - b);
    if (order.length < 2 || text.tags[order[1]][1] < sure) return [whole];
    const starts = order.slice(0, count).sort((a, b) => a - b);
    const end = text.tags.length;
    const outside = (start) => sum(text.tags.slice(0, start).map((row) => row[0]));
    const known = new Map();
    const segment = (a, b) => {
      const key = `${a} ${b}`;
      if (!known.has(key)) known.set(key, this.segment(text, a, b));
      return known.get(key);
    };
    let best = Math.max(...starts.map((a) => outside(a) + segment(a, end).score)) + weight * Math.max(...whole);
    let chosen = [whole];
    for (let size = 2; size <= most; size++) {
      for (const way of combinations(starts, size)) {
        const parts = way.map((a, i) => segment(a, way[i + 1] ?? end));
        const total = outside(way[0]) + sum(parts.map((part) => part.score + weight * Math.max(...part.logs)));
        if (total > best) [best, chosen] = [total, parts.map((part) => part.logs)];
      }
    }
    return chosen;
  }

  // Of a query that begins at `start`, with the next one at `following`: the log-probability of its tags with its best
  // end, and those of its labels (L), which are of the direction of the mean of its tokens.
  segment({ tags, tokens, scores }, start, following) {
    let end = start + 1, highest = 0, inside = 0;
    for (let i = start + 1; i < following; i++) {
      inside += tags[i][2] - tags[i][0];
      if (inside > highest) [highest, end] = [inside, i + 1];
    }
    const part = (from, to, tag) => sum(tags.slice(from, to).map((row) => row[tag]));
    const score = tags[start][1] + part(start + 1, end, 2) + part(end, following, 0);
    const mean = (rows) => rows[0].map((_, i) => sum(rows.map((row) => row[i])) / rows.length);
    const length = Math.max(Math.hypot(...mean(tokens.slice(start, end))), 1e-9);
    const { bias } = this.form.segments;
    return { score, logs: logSoftmax(mean(scores.slice(start, end)).map((one, i) => one / length + bias[i])) };
  }
}

const rowsOf = (numbers, width) =>
  Array.from({ length: numbers.length / width }, (_, i) => Array.from(numbers.slice(i * width, (i + 1) * width)));

function logSoftmax(scores) {
  const highest = Math.max(...scores);
  const total = Math.log(sum(scores.map((score) => Math.exp(score - highest))));
  return scores.map((score) => score - highest - total);
}

// Of log-probabilities (L): each label's less that of the best other one.
function margins(logs) {
  if (logs.length < 2) return logs.map((one) => one - Math.log1p(-Math.exp(Math.min(one, -1e-6))));
  const [best, second] = [...logs].sort((a, b) => b - a);
  return logs.map((one) => (one === best ? one - second : one - best));
}

function* combinations(items, size, from = 0) {
  if (size === 0) {
    yield [];
    return;
  }
  for (let i = from; i <= items.length - size; i++) {
    for (const rest of combinations(items, size - 1, i + 1)) yield [items[i], ...rest];
  }
}

// Words, pairs of neighbouring words, and n-grams of characters, by their numbers in vocabulary.json.
class WordReader {
  constructor(form, Tokenizer, files) {
    const numbered = (names, first) => new Map(names.map((name, i) => [name, first + i]));
    const { words, grams } = files.vocabulary;
    this.form = form;
    this.words = numbered(words, 0);
    this.pairs = numbered(form.pairs, words.length);
    this.grams = numbered(grams, words.length + form.pairs.length);
    this.word = new RegExp(form.word_pattern, "gu");
    this.speller = files.spelling ? new Speller(files.spelling, (word) => this.words.has(word)) : null;
  }

  inputs(text) {
    const { max_tokens: most, empty_id: nothing, gram_lengths: lengths } = this.form;
    const kept = readable(text, most);
    const read = (this.speller ? this.speller.read(kept) : kept).match(this.word) ?? [];
    const words = read.slice(0, most).map((word) => word.toLowerCase());
    const numbers = words.map((word) => this.words.get(word) ?? -1);
    const pairs = numbers.slice(1).map((b, i) => (numbers[i] < 0 || b < 0 ? -1 : numbers[i] * this.words.size + b));
    const known = (found) => found.filter((one) => one !== undefined);
    const spoken = [...numbers.filter((n) => n >= 0), ...known(pairs.map((pair) => this.pairs.get(pair)))];
    const spelled = known(words.flatMap((word) => gramsOf(word, lengths)).map((gram) => this.grams.get(gram)));
    return { words: spoken.length ? spoken : [nothing], grams: spelled.length ? spelled : [nothing] };
  }
}

function gramsOf(word, lengths) {
  const padded = [" ", ...word, " "];
  const of = (n) => padded.slice(0, Math.max(0, padded.length - n + 1)).map((_, i) => padded.slice(i, i + n).join(""));
  return lengths.flatMap(of);
}

class Words extends Labels {
  static Reader = WordReader;
}

const MODELS = { "static/1": Labels, "encoder/1": Labels, "segments/1": Segments, "tfidf/1": Words };

// `files`: the contents of model.json, tokenizer.json and vocabulary.json, and the text of spelling.txt, where there
// are such files.
export function openModel(Tokenizer, files, run) {
  return new MODELS[files.model.predictor](files.model, Tokenizer, files, run);
}

// A `run` for a session of onnxruntime-node or onnxruntime-web, whose module is `ort`.
export function runOf(ort, session) {
  return async (inputs) => {
    const feeds = {};
    for (const [name, numbers] of Object.entries(inputs)) {
      feeds[name] = new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), [1, numbers.length]);
    }
    const found = await session.run(feeds);
    return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]));
  };
}

// How many answers are those of check.jsonl, and by how much probabilities differ at most.
export async function check(model, lines) {
  let texts = 0, same = 0, far = 0;
  for (const line of lines.split("\n").filter(Boolean)) {
    const wanted = JSON.parse(line);
    const found = await model.answer(wanted.text);
    texts += 1;
    same += JSON.stringify(found.answer) === JSON.stringify(wanted.answer);
    model.form.labels.forEach((label, i) => {
      far = Math.max(far, Math.abs(found.probabilities[label] - wanted.probabilities[i]));
    });
  }
  return { texts, same_answer: same, max_probability_difference: far };
}
