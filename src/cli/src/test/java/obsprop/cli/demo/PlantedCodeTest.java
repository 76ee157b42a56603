package obsprop.cli.demo;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.analysis.probes.PooledActivations;
import obsprop.analysis.probes.PooledActivations.Pooling;
import obsprop.analysis.probes.ProbeComparison;
import obsprop.analysis.probes.ProbeOptions;
import obsprop.analysis.scores.ScoredVector;
import obsprop.analysis.statistics.Auc;
import obsprop.analysis.statistics.Vectors;
import obsprop.propagation.Observable;
import obsprop.weights.corpus.Kind;
import obsprop.weights.corpus.Part;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Single lines of C against single lines of Python, told apart by the observable ";" - line break: what ends a statement.
 * Labelled lines are used by the feature vector only to choose its layer, by a logistic regression to learn its weights.
 */
class PlantedCodeTest {
    private static final long SEED = 20261124;
    private static final int LINES_PER_CLASS = 300;
    private static final int SPLITS = 20;
    private static final List<String> PATHS = List.of("attn0@-1", "attn1@-1", "attn2@-1", "attn3@-1", "output");

    private static PlantedWorld world;
    private static List<ScoredVector> vectors;
    private static boolean[] isC;
    private static List<int[]> lines;

    @BeforeAll
    static void open() {
        world = new PlantedWorld();
        Observable statementEnd = Observable.difference("; - line break", world.token(";"), world.token("\n"));
        vectors = PATHS.stream().map(path -> world.vector(statementEnd, path)).toList();
        Map<String, Kind> labels = new LinkedHashMap<>();
        for (Kind kind : List.of(Kind.CODE_C, Kind.CODE_PYTHON)) {
            distinctLines(kind).forEach(line -> labels.put(line, kind));
        }
        lines = labels.keySet().stream().map(world::tokens).toList();
        List<Kind> kinds = List.copyOf(labels.values());
        isC = new boolean[kinds.size()];
        IntStream.range(0, isC.length).forEach(i -> isC[i] = kinds.get(i) == Kind.CODE_C);
    }

    /** Without a lone brace, which only one of the languages has. */
    private static Stream<String> distinctLines(Kind kind) {
        return world.documents(Part.SEEN, SEED).filter(d -> d.kind() == kind)
                .flatMap(d -> d.text().lines()).map(String::strip)
                .filter(line -> !line.equals("}")).distinct().limit(LINES_PER_CLASS);
    }

    @AfterAll
    static void close() {
        world.close();
    }

    /** Areas under the ROC curve, means over splits; of the regression the best layer's, chosen by hindsight. */
    private record Areas(double vector, double regression) {}

    private static double[][][] activations(Pooling pooling) {
        return vectors.stream()
                .map(v -> PooledActivations.of(world.model(), lines, v.layer(), v.point(), pooling))
                .toArray(double[][][]::new);
    }

    private static Areas compare(double[][][] x, int perClass) {
        double vector = 0;
        double[] regression = new double[x.length];
        for (int split = 0; split < SPLITS; split++) {
            int chosen = chooseLayer(x, perClass, new Random(SEED + split));
            for (int layer = 0; layer < x.length; layer++) {
                ProbeComparison judged = ProbeComparison.of(
                        x[layer], isC, vectors.get(layer).vector(), new ProbeOptions(perClass, 1, 1, 0.95, split));
                regression[layer] += judged.logisticRegression().auc() / SPLITS;
                vector += layer == chosen ? judged.vector().auc() / SPLITS : 0;
            }
        }
        return new Areas(vector, IntStream.range(0, x.length).mapToDouble(l -> regression[l]).max().orElseThrow());
    }

    /** Where the vector tells a few labelled lines apart best. */
    private static int chooseLayer(double[][][] x, int perClass, Random random) {
        List<Integer> c = some(true, perClass, random);
        List<Integer> python = some(false, perClass, random);
        double[] areas = IntStream.range(0, x.length)
                .mapToDouble(l -> Auc.of(scores(x[l], c, vectors.get(l)), scores(x[l], python, vectors.get(l))))
                .toArray();
        return Ranks.order(areas).getFirst();
    }

    private static List<Integer> some(boolean label, int count, Random random) {
        List<Integer> all = new ArrayList<>(
                IntStream.range(0, isC.length).filter(i -> isC[i] == label).boxed().toList());
        Collections.shuffle(all, random);
        return all.subList(0, count);
    }

    private static double[] scores(double[][] x, List<Integer> some, ScoredVector vector) {
        return some.stream().mapToDouble(i -> Vectors.dot(x[i], vector.vector())).toArray();
    }

    private static Map<Integer, Areas> areas(Pooling pooling) {
        double[][][] x = activations(pooling);
        Map<Integer, Areas> found = new LinkedHashMap<>();
        for (int perClass : new int[] {3, 5, 10, 25}) {
            Areas areas = compare(x, perClass);
            System.out.printf("%s of a line's tokens, %d + %d labelled: vector %.4f, logistic regression %.4f%n",
                    pooling, perClass, perClass, areas.vector, areas.regression);
            found.put(perClass, areas);
        }
        return found;
    }

    /**
     * Five labelled lines of each language: the vector is ahead by more than a tenth. Twenty-five: the regression is
     * ahead; the vector stays within 0.03 of it, a seventh of that lead.
     */
    @Test
    void linesNeedFewerLabelsThanRegressionAndGainLessFromMany() {
        Map<Integer, Areas> found = areas(Pooling.MEAN);
        assertTrue(found.get(5).vector > found.get(5).regression + 0.1);
        assertTrue(found.get(10).vector >= found.get(10).regression);
        assertTrue(found.get(25).vector > found.get(25).regression - 0.03);
    }

    /** Where the last token, often the ";" itself, is looked at alone, the regression is ahead from the start. */
    @Test
    void lastTokensOfLinesAreToldApartNearlyAsWell() {
        areas(Pooling.LAST).values().forEach(areas -> assertTrue(areas.vector > areas.regression - 0.03));
    }
}
