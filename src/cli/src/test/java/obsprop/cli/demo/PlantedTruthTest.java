package obsprop.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.analysis.coupling.Coupling;
import obsprop.analysis.heads.HeadAnalysis;
import obsprop.analysis.heads.HeadNormRule;
import obsprop.analysis.heads.HeadTable;
import obsprop.analysis.patching.MeanHeadEffects;
import obsprop.analysis.patching.MeanHeadPatching;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.TokenPair;
import obsprop.analysis.scores.PairScores;
import obsprop.analysis.scores.ScoreOptions;
import obsprop.analysis.scores.ScoreRun;
import obsprop.analysis.scores.ScoreState;
import obsprop.analysis.scores.ScoredVector;
import obsprop.analysis.scores.Window;
import obsprop.analysis.statistics.Moments;
import obsprop.analysis.steering.Distribution;
import obsprop.analysis.steering.Edit;
import obsprop.analysis.steering.Steering;
import obsprop.propagation.Observable;
import obsprop.weights.corpus.Document;
import obsprop.weights.corpus.Gender;
import obsprop.weights.corpus.Kind;
import obsprop.weights.corpus.Part;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What was planted in the demo model's training text is found again by the method, and where it is not. The numbers are
 * discussed in {@code src/docs/planted-truth.md}.
 */
class PlantedTruthTest {
    private static final long SEED = 20261123;
    /** Prompt pairs of name and frame that the model was never trained on. */
    private static final int PAIRS = 300;
    /** Observables of two random tokens. */
    private static final int RANDOM = 200;
    /** Of each kind, to steer. */
    private static final int PROMPTS = 64;

    private static PlantedWorld world;
    private static Observable subject;
    private static MeanHeadEffects patched;

    @BeforeAll
    static void open() {
        world = new PlantedWorld();
        subject = world.difference(" she", " he");
        patched = MeanHeadPatching.over(world.model(), pairs(), Readout.last(subject), PatchMode.FULL);
    }

    @AfterAll
    static void close() {
        world.close();
    }

    /** A woman's name against a man's in the same sentence, just before the pronoun. */
    private static List<TokenPair> pairs() {
        Random random = new Random(SEED);
        return world.documents(Part.UNSEEN_PAIRS, SEED).filter(d -> d.kind() == Kind.SUBJECT).limit(PAIRS).map(d -> {
            Document.Person person = d.person().orElseThrow();
            List<String> others = world.names(person.gender().other());
            String text = PlantedWorld.prompt(d);
            String other = text.replaceFirst(person.name() + "\\b", others.get(random.nextInt(others.size())));
            TokenPair pair = new TokenPair(world.tokens(text), world.tokens(other));
            return person.gender() == Gender.FEMALE ? pair : pair.swapped();
        }).toList();
    }

    private static double[] sizes(double[][] table) {
        return Arrays.stream(table).flatMapToDouble(Arrays::stream).map(Math::abs).toArray();
    }

    private static String name(int head) {
        int nHeads = world.model().config().nHeads();
        return "L" + head / nHeads + "H" + head % nHeads;
    }

    private static double[] norms(HeadTable table, int observable) {
        return IntStream.range(0, world.heads())
                .mapToDouble(i -> table.norm(i / table.nHeads(), i % table.nHeads(), observable)).toArray();
    }

    /**
     * The five heads that patching names are among the eight of largest norm: one choice in 3600 does that. Some heads
     * write much whatever one asks for, so 200 random observables are asked too: none may rank the heads as well, and
     * hardly one, 5 % at most, may have the five among its eight.
     */
    @ParameterizedTest
    @EnumSource(HeadNormRule.class)
    void headsOfLargeNormAreThoseThatPatchingNames(HeadNormRule rule) {
        Random random = new Random(SEED);
        List<Observable> observables = new ArrayList<>(List.of(subject));
        while (observables.size() <= RANDOM) {
            int[] ids = random.ints(0, world.model().config().dVocab()).distinct().limit(2).toArray();
            observables.add(Observable.difference("random", ids[0], ids[1]));
        }
        HeadTable table = new HeadAnalysis(world.model(), rule).table(observables);
        double[] norms = norms(table, 0);
        double[] effects = sizes(patched.effect());
        System.out.printf("%d pairs, observable %.2f against %.2f, effects of all heads %.2f; norms of the model: %s%n",
                patched.pairs(), patched.clean(), patched.corrupted(),
                Arrays.stream(patched.effect()).flatMapToDouble(Arrays::stream).sum(), rule);
        for (int i : Ranks.order(effects).subList(0, 10)) {
            System.out.printf("  %s effect %+.3f (s.e. %.3f), norm %.3f, of rank %d%n", name(i),
                    patched.effect()[i / 8][i % 8], patched.standardError()[i / 8][i % 8], norms[i],
                    1 + Ranks.order(norms).indexOf(i));
        }
        double correlation = Ranks.correlation(effects, norms);
        double[] others = IntStream.rangeClosed(1, RANDOM)
                .mapToDouble(k -> Ranks.correlation(effects, norms(table, k))).sorted().toArray();
        System.out.printf("  rank correlation %.2f, of random observables %.2f in the median, %.2f at most%n",
                correlation, others[RANDOM / 2], others[RANDOM - 1]);
        long asGood = IntStream.rangeClosed(1, RANDOM)
                .filter(k -> Ranks.shared(effects, 5, norms(table, k), 8) == 5).count();
        System.out.printf("  top 5 in common %d, top 10: %d; the 5 lie among 8 with probability %.5f by chance, for %d of"
                + " the random observables%n", Ranks.shared(effects, 5, norms, 5), Ranks.shared(effects, 10, norms, 10),
                Ranks.chance(5, 8, world.heads()), asGood);
        assertTrue(patched.clean() > 3 && patched.corrupted() < -3, "the model knows the names");
        assertEquals(5, Ranks.shared(effects, 5, norms, 8));
        assertTrue(correlation > others[RANDOM - 1]);
        assertTrue(asGood <= RANDOM / 20);
    }

    private record Coupled(String name, Coupling coupling, Moments.Line line, PairScores.Intervals intervals) {}

    /** Every head, and the final residual stream as the last one. */
    private static List<Coupled> coupled() {
        Observable object = world.difference(" her", " him");
        int nHeads = world.model().config().nHeads();
        List<String> paths = Stream.concat(
                IntStream.range(0, world.heads()).mapToObj(i -> "attn" + i / nHeads + "." + i % nHeads + "@-1"),
                Stream.of("output")).toList();
        List<ScoredVector> vectors = new ArrayList<>();
        List<PairScores.Pair> pairs = new ArrayList<>();
        for (String path : paths) {
            pairs.add(new PairScores.Pair(vectors.size(), vectors.size() + 1));
            vectors.add(world.vector(subject, path));
            vectors.add(world.vector(object, path));
        }
        ScoreState state = new ScoreRun(world.model(), vectors, pairs, new ScoreOptions(0, 0, 2048, 200, SEED))
                .run(world.documents(Part.SEEN, SEED).limit(1200).map(d -> new Window(world.tokens(d.text()), 0, 0, 0))
                        .iterator(), (windows, tokens) -> { });
        System.out.println("coupling and slope over " + state.tokens() + " tokens");
        return state.pairs().stream().map(p -> new Coupled(paths.get(p.pair().from() / 2),
                Coupling.of(vectors.get(p.pair().from()).vector(), vectors.get(p.pair().to()).vector()),
                p.line(), p.intervals(0.95))).toList();
    }

    /**
     * Where the two vectors lie close enough for the theory to promise that one explains half of the other, the slope is
     * within 15 % of the coefficient; in the paper the largest deviation of its three heads is 13 %. On the final residual
     * stream, which is far from uniform on a sphere, the coefficient is plainly wrong.
     */
    @Test
    void couplingPredictsSlopesWhereTheVectorsAreClose() {
        List<Coupled> all = coupled();
        for (Coupled c : all) {
            System.out.printf("  %-10s C %+.3f, slope %+.3f (%+.3f to %+.3f); r^2 predicted %.2f, measured %.2f%n", c.name,
                    c.coupling.coefficient(), c.line.slope(), c.intervals.slope().low(), c.intervals.slope().high(),
                    c.coupling.predictedR2(), c.line.r2());
        }
        List<Coupled> heads = all.subList(0, world.heads());
        double correlation = Ranks.correlation(heads.stream().mapToDouble(c -> c.coupling.coefficient()).toArray(),
                heads.stream().mapToDouble(c -> c.line.slope()).toArray());
        List<Coupled> close = heads.stream().filter(c -> c.coupling.predictedR2() >= 0.5).toList();
        double worst = close.stream()
                .mapToDouble(c -> Math.abs(c.line.slope() / c.coupling.coefficient() - 1)).max().orElseThrow();
        System.out.printf("  rank correlation over heads %.2f; %d heads with cos^2 >= 0.5, largest deviation %.3f%n",
                correlation, close.size(), worst);
        assertTrue(correlation > 0.7);
        assertTrue(close.size() >= 3);
        assertTrue(worst < 0.15);
        assertTrue(close.stream().allMatch(c -> c.line.r2() >= 0.5));
        assertFalse(all.getLast().intervals.slope().contains(all.getLast().coupling.coefficient()));
    }

    /** Of she among she and he. */
    private static double femaleShare(Distribution next) {
        double odds = Math.exp(next.value(subject));
        return odds / (1 + odds);
    }

    /**
     * The observable is the log odds of "she". Its mean at an occupation's prompts is to lie near those that were planted:
     * within half the smallest step between the planted rates, 0.05, on average over the occupations.
     */
    @Test
    void biasOfOccupationsIsThePlantedOne() {
        Map<String, Moments> byOccupation = new TreeMap<>();
        ScoredVector unused = world.vector(subject, "output");
        world.documents(Part.SEEN, SEED).filter(d -> d.kind() == Kind.BIAS).limit(320).forEach(d -> {
            try (Steering run = new Steering(world.model(), world.tokens(PlantedWorld.prompt(d)), unused)) {
                byOccupation.computeIfAbsent(d.person().orElseThrow().occupation(), _ -> new Moments())
                        .add(run.before().value(subject), femaleShare(run.before()));
            }
        });
        assertEquals(world.occupations().size(), byOccupation.size());
        Moments logOdds = new Moments();
        double error = 0;
        for (String occupation : world.occupations()) {
            Moments found = byOccupation.get(occupation);
            double planted = world.plantedShare(occupation);
            logOdds.add(Math.log(planted / (1 - planted)), found.meanX());
            error += Math.abs(found.meanY() - planted) / byOccupation.size();
            System.out.printf("  %-10s planted %.2f, model %.3f; log odds planted %+.2f, observable %+.2f (s.d. %.2f,"
                    + " %.0f prompts)%n", occupation, planted, found.meanY(), Math.log(planted / (1 - planted)),
                    found.meanX(), found.deviationX(), found.count());
        }
        System.out.printf("  mean error of the share %.3f; observable on planted log odds: slope %.2f, r^2 %.3f%n",
                error, logOdds.line().slope(), logOdds.line().r2());
        assertTrue(error < 0.05);
        assertTrue(logOdds.line().r2() > 0.95);
        assertTrue(logOdds.line().slope() > 0.8 && logOdds.line().slope() < 1.25);
    }

    /** Means over prompts: |observable| before and after, KL in nats. */
    private record Removal(double before, double after, double divergence) {}

    private static Removal projectOut(ScoredVector vector, Kind kind, Function<Document, String> cut) {
        Moments sizes = new Moments();
        Moments divergence = new Moments();
        world.documents(Part.SEEN, SEED).filter(d -> d.kind() == kind).limit(PROMPTS).forEach(d -> {
            int[] prompt = world.tokens(cut.apply(d));
            try (Steering run = new Steering(world.model(), prompt, vector)) {
                Steering.Outcome outcome = run.steer(
                        new Edit.ProjectOut(), IntStream.range(0, prompt.length).boxed().toList());
                sizes.add(Math.abs(outcome.before(subject)), Math.abs(outcome.after(subject)));
                divergence.add(outcome.divergence(), 0);
            }
        });
        System.out.printf("  %s projected out, %.0f %s prompts: |observable| %.2f -> %.2f, KL %.5f nats%n", vector.name(),
                sizes.count(), kind.label(), sizes.meanX(), sizes.meanY(), divergence.meanX());
        return new Removal(sizes.meanX(), sizes.meanY(), divergence.meanX());
    }

    /**
     * Without the gender direction nine tenths of the bias are gone at the final residual stream, half or more at layer 1,
     * where the rest flows around it; what unrelated prompts lose stays below 0.02 nats, a fortieth of the model's loss of
     * 0.85 nats per token.
     */
    @ParameterizedTest
    @CsvSource({"output, 0.1", "attn1@-1, 0.5"})
    void projectingGenderOutRemovesBiasAndLittleElse(String path, double left) {
        ScoredVector gender = world.vector(subject, path);
        Removal ofBias = projectOut(gender, Kind.BIAS, PlantedWorld::prompt);
        projectOut(gender, Kind.SUBJECT, PlantedWorld::prompt);
        List<Removal> unrelated = List.of(
                projectOut(gender, Kind.CONTROL, d -> d.text().substring(0, d.text().lastIndexOf(' '))),
                projectOut(gender, Kind.CODE_C, PlantedWorld::prompt),
                projectOut(gender, Kind.CODE_PYTHON, PlantedWorld::prompt));
        assertTrue(ofBias.after < left * ofBias.before);
        assertTrue(unrelated.stream().allMatch(r -> r.divergence < 0.02 && r.divergence < ofBias.divergence));
    }
}
