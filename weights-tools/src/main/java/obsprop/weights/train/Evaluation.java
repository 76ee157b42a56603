package obsprop.weights.train;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import obsprop.model.ActivationCache;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;
import obsprop.weights.JsonText;
import obsprop.weights.corpus.Corpus;
import obsprop.weights.corpus.Cue;
import obsprop.weights.corpus.WordTokenizer;

/** How well a model predicts documents, and what stands at their cues. */
public final class Evaluation {
    private static final int DOCUMENTS_AT_ONCE = 100;

    private final Transformer model;
    private final WordTokenizer tokenizer;
    private final Map<String, Tally> tallies = new TreeMap<>();
    private double loss;
    private double nats;
    private long tokens;

    private Evaluation(Transformer model, WordTokenizer tokenizer) {
        this.model = model;
        this.tokenizer = tokenizer;
    }

    /** Cues of one kind of document: how often the expected token beat its alternative, and every other token. */
    private static final class Tally {
        private int cues;
        private int preferred;
        private int first;

        Map<String, Object> fields() {
            return JsonText.object("cues", cues, "preferred_to_alternative", (double) preferred / cues,
                    "most_probable", (double) first / cues);
        }
    }

    /**
     * Each document between separators, by itself.
     *
     * @return loss and entropy in nats per predicted token; by kind and for all name-bound pronouns the accuracy at cues
     */
    public static Map<String, Object> of(Transformer model, WordTokenizer tokenizer, List<Corpus.Line> lines) {
        Evaluation evaluation = new Evaluation(model, tokenizer);
        for (int first = 0; first < lines.size(); first += DOCUMENTS_AT_ONCE) {
            evaluation.add(lines.subList(first, Math.min(lines.size(), first + DOCUMENTS_AT_ONCE)));
        }
        return evaluation.result(lines.size());
    }

    private void add(List<Corpus.Line> lines) {
        List<int[]> texts = new ArrayList<>();
        for (Corpus.Line line : lines) {
            int[] ids = tokenizer.encode(line.text());
            int[] text = new int[ids.length + 2];
            Arrays.fill(text, tokenizer.separator());
            System.arraycopy(ids, 0, text, 1, ids.length);
            texts.add(text);
            nats += line.nats();
        }
        Batches.Examples examples = Batches.Examples.of(texts);
        tokens += examples.targets().length;
        try (ActivationCache cache = model.forward(examples.batch(), Keep.LAST, model.config().nLayers());
                Arena arena = Arena.ofShared()) {
            Tensor logits = model.logits(cache, arena);
            for (int b = 0; b < lines.size(); b++) {
                int start = examples.batch().segments().start(b);
                cues(lines.get(b), logits.slice(0, start, start + examples.batch().segments().length(b)));
            }
            loss += CrossEntropy.inPlace(logits, examples.targets(), 1);
        }
    }

    private void cues(Corpus.Line line, Tensor logits) {
        WordTokenizer.Token[] ids = tokenizer.encodeWithOffsets(line.text());
        for (Cue cue : line.cues()) {
            for (int t = 0; t < ids.length; t++) {
                if (ids[t].offset() == cue.offset()) {
                    int alternative = tokenizer.token(cue.alternative()).orElseThrow();
                    tally(line.kind().label(), logits.select(0, t), ids[t].id(), alternative);
                    if (line.kind().bindsPronounToName()) {
                        tally("pronouns", logits.select(0, t), ids[t].id(), alternative);
                    }
                }
            }
        }
    }

    private void tally(String kind, Tensor logits, int expected, int alternative) {
        Tally tally = tallies.computeIfAbsent(kind, _ -> new Tally());
        double own = logits.get(expected);
        tally.cues++;
        tally.preferred += own > logits.get(alternative) ? 1 : 0;
        boolean first = true;
        for (int v = 0; v < logits.size(0) && first; v++) {
            first = v == expected || logits.get(v) < own;
        }
        tally.first += first ? 1 : 0;
    }

    private Map<String, Object> result(int documents) {
        Map<String, Object> accuracy = new LinkedHashMap<>();
        tallies.forEach((kind, tally) -> accuracy.put(kind, tally.fields()));
        return JsonText.object("documents", documents, "predicted_tokens", tokens,
                "loss_nats_per_token", loss / tokens, "entropy_nats_per_token", nats / tokens, "accuracy", accuracy);
    }
}
