package obsprop.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.analysis.patching.HeadEffects;
import obsprop.analysis.patching.HeadPatching;
import obsprop.analysis.patching.MeanHeadEffects;
import obsprop.analysis.patching.MeanHeadPatching;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.TokenPair;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Observable;
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
 * How long does the mean table of exact head patches over many prompt pairs take, forward passes included? The authors' GPU
 * took 2.97 s a pair. {@code -p model=DIR} names a model. The mean over a few pairs is proved first against their tables one
 * by one.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 1)
@Measurement(iterations = 3)
public class PathPatchTable {
    private static final int PROVED_PAIRS = 3;
    private static final double AUTHORS_SECONDS = 2.97;

    @Param({"model"})
    public String model;

    @Param({"300"})
    public int pairs;

    @Param({"12"})
    public int tokens;

    @Param({"2"})
    public int workers;

    private final Readout readout = Readout.last(Observable.difference("a - b", 1, 2));
    private CpuKernels kernels;
    private Transformer transformer;
    private List<TokenPair> prompts;
    private Meter meter;

    @Setup(Level.Trial)
    public void prepare() {
        kernels = CpuKernels.create(workers);
        transformer = ModelLoader.open(Path.of(model), kernels);
        prompts = prompts();
        proveAgreement();
        ModelConfig c = transformer.config();
        DType type = transformer.block(0).attention().output().weight().dtype();
        double square = (double) c.nLayers() * c.dModel() * c.nHeads() * c.dHead();
        double layers = 4 * square + 2.0 * c.nLayers() * c.dModel() * c.dMlp();
        meter = new Meter(
                pairs + " pairs of " + tokens + " tokens, " + c.nLayers() + " layers, " + type,
                pairs * (2 * square + 4.0 * tokens * layers), type.bytes() * (square + layers), workers);
    }

    /** Pairs that differ in one token, as in a name. */
    private List<TokenPair> prompts() {
        Random random = new Random(5);
        List<TokenPair> all = new ArrayList<>();
        for (int i = 0; i < Math.max(pairs, PROVED_PAIRS); i++) {
            int[] clean = random.ints(tokens, 1, transformer.config().dVocab()).toArray();
            int[] corrupted = clean.clone();
            corrupted[tokens / 3] = clean[tokens / 3] - 1;
            all.add(new TokenPair(clean, corrupted));
        }
        return all;
    }

    private void proveAgreement() {
        List<TokenPair> few = prompts.subList(0, PROVED_PAIRS);
        MeanHeadEffects mean = MeanHeadPatching.over(transformer, few, readout, PatchMode.FULL);
        List<HeadEffects> tables = few.stream().map(this::alone).toList();
        double error = 0;
        double largest = 0;
        for (int l = 0; l < mean.effect().length; l++) {
            for (int h = 0; h < mean.effect()[l].length; h++) {
                double expected = 0;
                for (HeadEffects table : tables) {
                    expected += table.effect()[l][h] / PROVED_PAIRS;
                }
                largest = Math.max(largest, Math.abs(expected));
                error = Math.max(error, Math.abs(expected - mean.effect()[l][h]));
            }
        }
        System.out.printf("%nlargest effect %.2e, largest difference from one table a pair %.1e%n", largest, error);
        if (!(error <= 1e-5 * Math.max(1, Math.abs(mean.clean())))) {
            throw new IllegalStateException("one table a pair gives other effects");
        }
    }

    private HeadEffects alone(TokenPair pair) {
        try (ActivationCache cache = transformer.forward(Batch.of(pair.clean(), pair.corrupted()))) {
            PromptPair runs = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
            return HeadPatching.table(runs, readout, PatchMode.FULL);
        }
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
        double each = meter.medianSeconds() / pairs;
        meter.close();
        System.out.printf("%.1f ms a pair, %.1f times as fast as the authors' GPU%n", each * 1e3, AUTHORS_SECONDS / each);
        transformer.close();
        kernels.close();
    }

    @Benchmark
    public MeanHeadEffects meanTable() {
        meter.call();
        return MeanHeadPatching.over(transformer, prompts.subList(0, pairs), readout, PatchMode.FULL);
    }
}
