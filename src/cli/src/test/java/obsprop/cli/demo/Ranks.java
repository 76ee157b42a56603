package obsprop.cli.demo;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Orders of values, largest first. */
final class Ranks {
    private Ranks() {}

    /** Indices in order of their values, largest first. */
    static List<Integer> order(double[] values) {
        return IntStream.range(0, values.length).boxed().sorted(Comparator.comparingDouble(i -> -values[i])).toList();
    }

    /** Spearman's correlation, for values without ties. */
    static double correlation(double[] a, double[] b) {
        List<Integer> first = order(a);
        List<Integer> second = order(b);
        double n = a.length;
        double squares = IntStream.range(0, a.length)
                .mapToDouble(i -> Math.pow(first.indexOf(i) - second.indexOf(i), 2)).sum();
        return 1 - 6 * squares / (n * (n * n - 1));
    }

    /** How many of the largest {@code k} of a are among the largest {@code among} of b. */
    static long shared(double[] a, int k, double[] b, int among) {
        List<Integer> large = order(b).subList(0, among);
        return order(a).subList(0, k).stream().filter(large::contains).count();
    }

    /** The probability that k given ones of n all lie among {@code among} drawn at random. */
    static double chance(int k, int among, int n) {
        return IntStream.range(0, k).mapToDouble(i -> (among - i) / (double) (n - i)).reduce(1, (x, y) -> x * y);
    }
}
