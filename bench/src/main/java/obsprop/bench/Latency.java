package obsprop.bench;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.model.Transformer;
import obsprop.model.family.DemoModel;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.PreparedGradient;
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
 * How long does a program wait for the value and the exact gradient of one observable on the demo model? Percentiles of
 * single calls; {@code -prof gc} shows what they allocate.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 4, time = 3)
@Measurement(iterations = 4, time = 3)
public class Latency {
    @Param({"4", "11"})
    public int tokens;

    @Param({"1"})
    public int workers;

    private DemoModel demo;
    private CpuKernels kernels;
    private Transformer model;
    private PreparedGradient prepared;
    private int[] prompt;

    @Setup(Level.Trial)
    public void prepare() {
        demo = DemoModel.unpack();
        kernels = CpuKernels.create(workers);
        model = ModelLoader.open(demo.directory(), kernels);
        prepared = new PreparedGradient(model, Observable.difference("a - b", 300, 301), tokens, Rules.EXACT);
        prompt = new Random(3).ints(tokens, 0, model.config().dVocab()).toArray();
    }

    @TearDown(Level.Trial)
    public void finish() {
        prepared.close();
        model.close();
        kernels.close();
        demo.close();
    }

    @Benchmark
    public double valueAndGradient() {
        return prepared.run(prompt);
    }
}
