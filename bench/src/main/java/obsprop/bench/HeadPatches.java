package obsprop.bench;

import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.analysis.patching.HeadEffects;
import obsprop.analysis.patching.HeadPatching;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.cuda.PlainMemory;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Observable;
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

/**
 * How long does the table of exact single-head patches take, from a cached pair of prompts, and with the two forward
 * passes that fill the cache? {@code -p model=DIR} names a model.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 2, time = 3)
@Measurement(iterations = 4, time = 3)
public class HeadPatches {
    @Param({"model"})
    public String model;

    @Param({"12"})
    public int tokens;

    @Param({"2"})
    public int workers;

    private CpuKernels kernels;
    private Transformer transformer;
    private Batch pair;
    private ActivationCache cache;

    @Setup(Level.Trial)
    public void prepare() {
        kernels = CpuKernels.create(workers, PlainMemory::of);
        transformer = ModelLoader.open(Path.of(model), kernels);
        var random = new Random(5);
        int vocabulary = transformer.config().dVocab();
        pair = Batch.of(random.ints(tokens, 0, vocabulary).toArray(), random.ints(tokens, 0, vocabulary).toArray());
        cache = transformer.forward(pair);
    }

    @TearDown(Level.Trial)
    public void finish() {
        cache.close();
        transformer.close();
        kernels.close();
    }

    @Benchmark
    public HeadEffects fromCache() {
        var prompts = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
        return HeadPatching.table(prompts, Readout.last(Observable.difference("a - b", 1, 2)), PatchMode.FULL);
    }

    @Benchmark
    public HeadEffects withBothForwards() {
        transformer.forward(pair, cache);
        return fromCache();
    }
}
