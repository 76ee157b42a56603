package obsprop.analysis.steering;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import obsprop.propagation.Observable;

/**
 * What a model expects as the next token.
 *
 * @param logits [V]
 * @param logProbabilities [V], in nats
 */
public record Distribution(double[] logits, double[] logProbabilities) {
    /** The softmax of logits [V]. */
    public static Distribution of(double[] logits) {
        double largest = Arrays.stream(logits).max().orElseThrow();
        double logSum = largest + Math.log(Arrays.stream(logits).map(l -> Math.exp(l - largest)).sum());
        return new Distribution(logits, Arrays.stream(logits).map(l -> l - logSum).toArray());
    }

    /**
     * {@code KL(this || other)} in nats: the sum over the vocabulary. (The authors' notebook reports the mean over it, and
     * the other direction.)
     */
    public double divergenceTo(Distribution other) {
        double sum = 0;
        for (int i = 0; i < logProbabilities.length; i++) {
            double p = Math.exp(logProbabilities[i]);
            sum += p == 0 ? 0 : p * (logProbabilities[i] - other.logProbabilities[i]);
        }
        return Math.max(0, sum);
    }

    /** {@code n . logits}. */
    public double value(Observable n) {
        n.requireWithin(logits.length);
        return IntStream.range(0, n.ids().length).mapToDouble(i -> n.weights()[i] * logits[n.ids()[i]]).sum();
    }

    /** A token's logit and probability. */
    public record Candidate(int token, double logit, double probability) {}

    /** The k likeliest tokens, likeliest first. */
    public List<Candidate> top(int k) {
        return IntStream.range(0, logits.length)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -logits[i]))
                .limit(k)
                .map(i -> new Candidate(i, logits[i], Math.exp(logProbabilities[i])))
                .toList();
    }
}
