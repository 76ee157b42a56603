package obsprop.weights.corpus;

import java.util.List;
import obsprop.weights.SeededRandom;

/** Makes the generator's choices and adds up what they cost: the surprisal of a document under the grammar, in nats. */
final class Draw {
    private final SeededRandom random;
    private double nats;

    Draw(SeededRandom random) {
        this.random = random;
    }

    /** One of {@code items}, each equally likely. */
    <T> T pick(List<T> items) {
        nats += Math.log(items.size());
        return items.get(random.nextInt(items.size()));
    }

    /** True with the given probability. */
    boolean chance(double probability) {
        boolean outcome = random.nextDouble() < probability;
        nats -= Math.log(outcome ? probability : 1 - probability);
        return outcome;
    }

    /** Index i with probability {@code weights[i] / sum(weights)}. */
    int weighted(double[] weights) {
        double total = 0;
        for (double weight : weights) {
            total += weight;
        }
        double left = random.nextDouble() * total;
        int i = 0;
        while (i < weights.length - 1 && left >= weights[i]) {
            left -= weights[i++];
        }
        nats -= Math.log(weights[i] / total);
        return i;
    }

    /** Minus the log-probability of all choices so far. */
    double nats() {
        return nats;
    }
}
