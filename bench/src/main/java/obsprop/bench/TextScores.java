package obsprop.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.analysis.scores.ScoreOptions;
import obsprop.analysis.scores.ScoreRun;
import obsprop.analysis.scores.ScoreState;
import obsprop.analysis.scores.ScoredToken;
import obsprop.analysis.scores.ScoredVector;
import obsprop.analysis.scores.Window;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.ModelConfig;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.tensor.DType;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.BenchmarkParams;

/**
 * How many tokens of text does one vector score a second, by the layer at whose input it lives? A pass ends there. The
 * authors' GPU took 0.69 s for a window of 128 tokens. {@code -p model=DIR} names a model; {@code layer=-1} is the final
 * residual stream. The highest score is proved first against a full pass.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 3)
@Measurement(iterations = 4)
public class TextScores {
    private static final double AUTHORS_TOKENS_PER_SECOND = 186;

    @Param({"model"})
    public String model;

    @Param({"-1", "6"})
    public int layer;

    @Param({"128"})
    public int tokens;

    @Param({"8"})
    public int windows;

    @Param({"2"})
    public int workers;

    private CpuKernels kernels;
    private Transformer transformer;
    private ScoredVector vector;
    private List<Window> text;
    private Meter meter;

    @Setup(Level.Trial)
    public void prepare() {
        kernels = CpuKernels.create(workers);
        transformer = ModelLoader.open(Path.of(model), kernels);
        ModelConfig c = transformer.config();
        int depth = layer < 0 ? c.nLayers() : layer;
        Random random = new Random(3);
        vector = new ScoredVector("y", depth, Point.INPUT, random.doubles(c.dModel(), -1, 1).toArray());
        text = new ArrayList<>();
        for (int i = 0; i < windows; i++) {
            text.add(new Window(random.ints(tokens, 0, c.dVocab()).toArray(), 0, i, 0));
        }
        proveAgreement();
        DType type = transformer.block(0).attention().output().weight().dtype();
        double weights = (double) depth * c.dModel() * (4.0 * c.nHeads() * c.dHead() + 2.0 * c.dMlp());
        meter = new Meter(
                windows + " windows of " + tokens + " tokens, " + depth + " of " + c.nLayers() + " layers, " + type,
                2.0 * windows * tokens * weights, type.bytes() * weights, workers);
    }

    private void proveAgreement() {
        List<Window> first = text.subList(0, 1);
        ScoredToken highest = run(first).vectors().getFirst().top().getFirst();
        try (ActivationCache cache = transformer.forward(Batch.of(first.getFirst().tokenIds()))) {
            double[] x = cache.residual(vector.layer()).select(0, highest.position()).toDoubles();
            double score = 0;
            double size = 0;
            for (int i = 0; i < x.length; i++) {
                score += x[i] * vector.vector()[i];
                size += Math.abs(x[i] * vector.vector()[i]);
            }
            System.out.printf("%nhighest score %.4f, by a full pass %.4f%n", highest.score(), score);
            if (!(Math.abs(score - highest.score()) <= 1e-4 * size)) {
                throw new IllegalStateException("a full pass gives another score");
            }
        }
    }

    private ScoreState run(List<Window> some) {
        return new ScoreRun(transformer, List.of(vector), List.of(), ScoreOptions.DEFAULT).run(some.iterator(), (w, t) -> {});
    }

    @Setup(Level.Iteration)
    public void startIteration() {
        meter.startIteration();
    }

    @TearDown(Level.Iteration)
    public void endIteration() {
        meter.endIteration();
    }

    @TearDown(Level.Trial)
    public void finish(BenchmarkParams parameters) {
        meter.forgetWarmup(parameters);
        double rate = windows * tokens / meter.medianSeconds();
        meter.close();
        System.out.printf("%.0f tokens/s, %.2f times the authors' GPU%n", rate, rate / AUTHORS_TOKENS_PER_SECOND);
        transformer.close();
        kernels.close();
    }

    @Benchmark
    public ScoreState score() {
        meter.call();
        return run(text);
    }
}
