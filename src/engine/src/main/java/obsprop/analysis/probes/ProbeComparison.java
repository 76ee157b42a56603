package obsprop.analysis.probes;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import obsprop.analysis.statistics.Auc;
import obsprop.analysis.statistics.Interval;
import obsprop.analysis.statistics.Vectors;

/**
 * A vector, which needs no training, beside two probes trained on a few examples of the same activations; all are judged
 * on the examples that were not used for training.
 *
 * @param trained number of training examples
 * @param positives number of positive test examples
 * @param negatives number of negative ones
 */
public record ProbeComparison(
        Judgement vector, Judgement logisticRegression, Judgement differenceOfMeans, int trained, int positives, int negatives) {
    /**
     * How well a direction tells the classes apart.
     *
     * @param cosine of its angle with the vector
     * @param positive scores of the positive test examples
     * @param negative scores of the negative ones
     */
    public record Judgement(
            double auc, Interval interval, double cosine, List<Double> positive, List<Double> negative) {}

    /**
     * Splits, trains, judges.
     *
     * @param x [n][d], one pooled activation each
     * @param positive the classes
     * @param vector [d]
     * @throws IllegalArgumentException if a class has too few examples to train and to test on
     */
    public static ProbeComparison of(double[][] x, boolean[] positive, double[] vector, ProbeOptions options) {
        List<Integer> train = new ArrayList<>();
        List<Integer> test = new ArrayList<>();
        Random random = new Random(options.seed());
        for (boolean label : new boolean[] {true, false}) {
            List<Integer> all = new ArrayList<>(
                    IntStream.range(0, x.length).filter(i -> positive[i] == label).boxed().toList());
            if (all.size() <= options.perClass()) {
                throw new IllegalArgumentException("the " + (label ? "positive" : "negative") + " class has " + all.size()
                        + " examples: " + options.perClass() + " for training leave none to test on");
            }
            Collections.shuffle(all, random);
            train.addAll(all.subList(0, options.perClass()));
            test.addAll(all.subList(options.perClass(), all.size()));
        }
        return new Split(x, positive, train, test, options).judge(vector);
    }

    private record Split(
            double[][] x, boolean[] positive, List<Integer> train, List<Integer> test, ProbeOptions options) {
        ProbeComparison judge(double[] vector) {
            boolean[] labels = new boolean[train.size()];
            for (int i = 0; i < labels.length; i++) {
                labels[i] = positive[train.get(i)];
            }
            double[][] examples = train.stream().map(i -> x[i]).toArray(double[][]::new);
            LogisticRegression.Model logistic = LogisticRegression.train(examples, labels, options.lambda());
            double[] difference = mean(true);
            Vectors.addScaled(-1, mean(false), difference);
            return new ProbeComparison(
                    judge(v -> Vectors.dot(vector, v), 1),
                    judge(logistic::score, Vectors.cosine(vector, logistic.weights())),
                    judge(v -> Vectors.dot(difference, v), Vectors.cosine(vector, difference)),
                    train.size(), scores(v -> 0, true).length, scores(v -> 0, false).length);
        }

        private double[] mean(boolean label) {
            double[] mean = new double[x[0].length];
            for (int i : train) {
                if (positive[i] == label) {
                    Vectors.addScaled(1.0 / options.perClass(), x[i], mean);
                }
            }
            return mean;
        }

        private Judgement judge(ToDoubleFunction<double[]> score, double cosine) {
            double[] high = scores(score, true);
            double[] low = scores(score, false);
            Interval interval = Auc.interval(high, low, options.replicates(), options.level(), options.seed());
            return new Judgement(Auc.of(high, low), interval, cosine,
                    Arrays.stream(high).boxed().toList(), Arrays.stream(low).boxed().toList());
        }

        private double[] scores(ToDoubleFunction<double[]> score, boolean label) {
            return test.stream().filter(i -> positive[i] == label).mapToDouble(i -> score.applyAsDouble(x[i])).toArray();
        }
    }
}
