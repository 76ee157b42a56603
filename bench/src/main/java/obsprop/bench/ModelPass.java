package obsprop.bench;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
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

/**
 * How long does one prompt take through a whole model, forward, and forward with the exact gradient of one observable?
 *
 * <p>{@code -p model=DIR} names a model, for instance a random one of GPT-Neo-1.3B's shape. The gradient is proved first
 * on a short prompt against the scalar kernels, a peer's on the prompt itself against ours.
 */
@State(Scope.Benchmark)
@BenchmarkMode({Mode.SampleTime})
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 5, time = 3)
@Measurement(iterations = 5, time = 2)
public class ModelPass {
    private static final int PROVED_TOKENS = 3;
    /** For weights as before training. Where they are larger, attention is nearly one-hot and rounding grows with depth. */
    private static final double TOLERANCE = 1e-4;
    /** Of two engines in F32 on the whole prompt. */
    private static final double PEER_TOLERANCE = 1e-3;

    @Param({"obsprop"})
    public String engine;

    @Param({"model"})
    public String model;

    @Param({"128", "16"})
    public int tokens;

    @Param({"2"})
    public int workers;

    private final Observable observable = Observable.difference("a - b", 1, 2);
    private CpuKernels kernels;
    private Transformer transformer;
    private ModelRunner runner;
    private Meter meter;

    @Setup(Level.Trial)
    public void prepare(BenchmarkParams parameters) {
        kernels = CpuKernels.create(workers);
        transformer = ModelLoader.open(Path.of(model), kernels);
        runner = Engine.named(ModelRunner.class, engine);
        runner.prepare(transformer, workers, prompt(tokens), observable);
        proveAgreement();
        String method = parameters.getBenchmark().substring(parameters.getBenchmark().lastIndexOf('.') + 1);
        ModelConfig config = transformer.config();
        double weights = (double) config.nLayers() * config.dModel()
                * (4.0 * config.nHeads() * config.dHead() + 2.0 * config.dMlp());
        DType type = transformer.block(0).attention().output().weight().dtype();
        int passes = method.equals("forward") ? 1 : 2;
        double products = tokens * weights;
        if (passes == 2) {
            products -= (tokens - runner.lastMlpTokens()) * 2.0 * config.dModel() * config.dMlp();
        }
        meter = new Meter(
                method + " " + tokens + " tokens, " + config.nLayers() + " layers, " + type + ", " + engine,
                2 * passes * products,
                passes * type.bytes() * weights, workers);
    }

    private int[] prompt(int length) {
        return new Random(7).ints(length, 0, transformer.config().dVocab()).toArray();
    }

    /** The engine against the scalar kernels on a short prompt; a peer against the engine on the prompt itself. */
    private void proveAgreement() {
        if (engine.equals("obsprop")) {
            try (Transformer oracle = ModelLoader.open(Path.of(model), ScalarKernels.float32());
                    ModelRunner few = new ObspropRunner()) {
                few.prepare(transformer, workers, prompt(PROVED_TOKENS), observable);
                few.forwardAndVjp();
                agree("gradient against the scalar kernels", gradient(oracle), few.gradient(), TOLERANCE);
            }
            return;
        }
        try (ModelRunner own = new ObspropRunner()) {
            own.prepare(transformer, workers, prompt(tokens), observable);
            own.forwardAndVjp();
            runner.forwardAndVjp();
            agree("gradient against obsprop", own.gradient(), runner.gradient(), PEER_TOLERANCE);
            own.forward();
            runner.forward();
            agree("final residual stream against obsprop", own.residual(), runner.residual(), PEER_TOLERANCE);
        }
    }

    private static void agree(String what, float[] right, float[] actual, double tolerance) {
        double largest = 0;
        double error = right.length == actual.length ? 0 : Double.POSITIVE_INFINITY;
        for (int i = 0; i < Math.min(right.length, actual.length); i++) {
            largest = Math.max(largest, Math.abs(right[i]));
            error = Math.max(error, Math.abs(right[i] - actual[i]));
        }
        System.out.printf("%n%s: %.1e of the largest value%n", what, error / largest);
        if (!(error <= tolerance * largest)) {
            throw new IllegalStateException("they disagree");
        }
    }

    private float[] gradient(Transformer oracle) {
        try (Arena once = Arena.ofShared(); ActivationCache values = oracle.forward(Batch.of(prompt(PROVED_TOKENS)))) {
            var target = new Propagator.Target(observable, PROVED_TOKENS - 1);
            Tensor all = new Propagator(oracle).gradients(values, List.of(target), Rules.EXACT, once);
            return all.select(0, 0).select(0, 0).toFloats();
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
        runner.close();
        transformer.close();
        kernels.close();
    }

    @Benchmark
    public void forward() {
        meter.call();
        runner.forward();
    }

    @Benchmark
    public void forwardAndVjp() {
        meter.call();
        runner.forwardAndVjp();
    }
}
