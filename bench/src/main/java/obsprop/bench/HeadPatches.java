package obsprop.bench;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.analysis.patching.FinalNorm;
import obsprop.analysis.patching.HeadEffects;
import obsprop.analysis.patching.HeadPatching;
import obsprop.analysis.patching.KeptHeadPatches;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
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
 * How long does the table of exact single-head patches take: the first of a cached pair of prompts, which reads all output
 * projections; one more observable on the same pair; and the first with the two forward passes that fill the cache?
 * {@code -p model=DIR} names a model. A sample of heads is proved first against full reruns.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 4, time = 3)
@Measurement(iterations = 4, time = 3)
public class HeadPatches {
    @Param({"model"})
    public String model;

    @Param({"12"})
    public int tokens;

    @Param({"2"})
    public int workers;

    private final Observable observable = Observable.difference("a - b", 1, 2);
    private CpuKernels kernels;
    private Transformer transformer;
    private Batch batch;
    private ActivationCache cache;
    private PromptPair pair;
    private KeptHeadPatches kept;
    private Meter meter;

    @Setup(Level.Trial)
    public void prepare(BenchmarkParams parameters) {
        kernels = CpuKernels.create(workers);
        transformer = ModelLoader.open(Path.of(model), kernels);
        batch = prompts();
        cache = transformer.forward(batch);
        pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
        kept = new KeptHeadPatches(pair, -1, PatchMode.FULL);
        proveAgreement();
        String method = parameters.getBenchmark().substring(parameters.getBenchmark().lastIndexOf('.') + 1);
        meter = meter(method);
    }

    /** Two prompts that differ in one token, as a name does. */
    private Batch prompts() {
        int[] clean = new Random(5).ints(tokens, 3, transformer.config().dVocab()).toArray();
        int[] corrupted = clean.clone();
        corrupted[tokens / 3] = clean[tokens / 3] - 1;
        return Batch.of(clean, corrupted);
    }

    private void proveAgreement() {
        HeadEffects table = first();
        OracleAgreement agreement = OracleAgreement.of(
                pair, Readout.last(observable), PatchMode.FULL, table, new OracleAgreement.Sample(3, 1));
        System.out.printf("%n%s%n", agreement);
        if (!(agreement.largestDifference() <= 1e-4 * Math.max(1, Math.abs(table.clean())))) {
            throw new IllegalStateException("full reruns give other effects");
        }
        if (!Arrays.deepEquals(table.effect(), kept.table(observable, FinalNorm.ON).effect())) {
            throw new IllegalStateException("kept differences give another table");
        }
    }

    /** Beside the arithmetic, what must be read: W_O; the kept differences; W_O and all weights once. */
    private Meter meter(String method) {
        ModelConfig c = transformer.config();
        DType type = transformer.block(0).attention().output().weight().dtype();
        double square = (double) c.nLayers() * c.dModel() * c.nHeads() * c.dHead();
        double layers = 4 * square + 2.0 * c.nLayers() * c.dModel() * c.dMlp();
        String what = method + ", " + c.nLayers() * c.nHeads() + " heads, " + tokens + " tokens, " + type;
        return switch (method) {
            case "fromCache" -> new Meter(what, 2 * square, type.bytes() * square, workers);
            case "oneMoreObservable" -> new Meter(
                    what + " (reads what was kept)", 2.0 * c.nLayers() * c.nHeads() * c.dModel(),
                    4.0 * c.nLayers() * c.nHeads() * c.dModel(), workers);
            default -> new Meter(
                    what, 2 * square + 4.0 * tokens * layers, type.bytes() * (square + layers), workers);
        };
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
        meter.close();
        kept.close();
        cache.close();
        transformer.close();
        kernels.close();
    }

    @Benchmark
    public HeadEffects fromCache() {
        meter.call();
        return first();
    }

    private HeadEffects first() {
        return HeadPatching.table(pair, Readout.last(observable), PatchMode.FULL);
    }

    @Benchmark
    public HeadEffects oneMoreObservable() {
        meter.call();
        return kept.table(observable, FinalNorm.ON);
    }

    @Benchmark
    public HeadEffects withBothForwards() {
        meter.call();
        transformer.forward(batch, cache);
        return first();
    }
}
