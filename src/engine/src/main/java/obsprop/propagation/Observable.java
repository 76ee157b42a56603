package obsprop.propagation;

import java.util.ArrayList;
import java.util.List;
import obsprop.tensor.Tensor;

/**
 * A sparse linear functional on the logits at one position: {@code n . logits = sum_i weights[i] * logits[ids[i]]}.
 *
 * @param name what to call it in results
 * @param ids distinct token ids
 * @param weights one for each id
 */
public record Observable(String name, int[] ids, double[] weights) {
    public Observable {
        ids = ids.clone();
        weights = weights.clone();
        if (ids.length != weights.length || ids.length == 0) {
            throw new IllegalArgumentException("observable \"" + name + "\" has " + ids.length + " tokens and "
                    + weights.length + " weights: it needs at least one token and a weight for each");
        }
    }

    /** The usual logit difference: token {@code plus} against token {@code minus}. */
    public static Observable difference(String name, int plus, int minus) {
        return new Observable(name, new int[] {plus, minus}, new double[] {1, -1});
    }

    /** From a dense vector [V], leaving out its zeros. */
    public static Observable dense(String name, double[] n) {
        List<Integer> ids = new ArrayList<>();
        for (int i = 0; i < n.length; i++) {
            if (n[i] != 0) {
                ids.add(i);
            }
        }
        return new Observable(
                name,
                ids.stream().mapToInt(i -> i).toArray(),
                ids.stream().mapToDouble(i -> n[i]).toArray());
    }

    /** The weight of the i-th token, without copying them all. */
    double weight(int i) {
        return weights[i];
    }

    /** {@code n . logits} for one row of logits [V] in host memory. */
    public double value(Tensor logits) {
        double sum = 0;
        for (int i = 0; i < ids.length; i++) {
            sum += weights[i] * logits.get(ids[i]);
        }
        return sum;
    }

    /** @throws IllegalArgumentException if a token is not in a vocabulary of {@code dVocab} */
    public void requireWithin(int dVocab) {
        for (int id : ids) {
            if (id < 0 || id >= dVocab) {
                throw new IllegalArgumentException(
                        "observable \"" + name + "\" names token " + id + ", but the vocabulary has " + dVocab);
            }
        }
    }
}
