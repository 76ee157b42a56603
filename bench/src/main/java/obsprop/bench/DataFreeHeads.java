package obsprop.bench;

import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Attention;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
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

/** How long do the data-free feature vectors of every head take, for one and for 64 observables? */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class DataFreeHeads {
    @Param({"obsprop"})
    public String engine;

    @Param({"model"})
    public String model;

    @Param({"1", "64"})
    public int observables;

    @Param({"2"})
    public int workers;

    private CpuKernels kernels;
    private Transformer transformer;
    private HeadPuller puller;
    private float[] y;
    private Meter meter;

    @Setup(Level.Trial)
    public void prepare() {
        kernels = CpuKernels.create(workers);
        transformer = ModelLoader.open(Path.of(model), kernels);
        ModelConfig config = transformer.config();
        y = new float[observables * config.dModel()];
        Random random = new Random(2);
        for (int i = 0; i < y.length; i++) {
            y[i] = random.nextFloat() - 0.5f;
        }
        puller = Engine.named(HeadPuller.class, engine);
        puller.prepare(transformer, workers, y);
        puller.run();
        proveAgreement();
        double weights = 2.0 * config.nLayers() * config.dModel() * config.nHeads() * config.dHead();
        DType type = transformer.block(0).attention().output().weight().dtype();
        meter = new Meter(
                config.nLayers() * config.nHeads() + " head features, " + observables + " observables, " + type + ", " + engine,
                2.0 * observables * weights, type.bytes() * weights, workers);
    }

    /** One element of the last layer against plain sums in double. */
    private void proveAgreement() {
        ModelConfig config = transformer.config();
        int head = config.nHeads() - 1;
        Attention attention = transformer.block(config.nLayers() - 1).attention();
        Tensor output = attention.output().weight();
        Tensor value = attention.value(head).weight();
        double sum = 0;
        for (int i = 0; i < config.dHead(); i++) {
            double mixed = 0;
            for (int j = 0; j < config.dModel(); j++) {
                mixed += y[j] * output.get(j, head * config.dHead() + i);
            }
            sum += mixed * value.get(i, 0);
        }
        double got = puller.element(head, 0);
        if (!(Math.abs(got - sum) <= 1e-4 * Math.max(1, Math.abs(sum)))) {
            throw new IllegalStateException("a feature is " + got + " where " + sum + " is right");
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
        meter.close();
        puller.close();
        transformer.close();
        kernels.close();
    }

    @Benchmark
    public void features() {
        meter.call();
        puller.run();
    }
}
