package obsprop.bench;

import java.util.Random;
import java.util.concurrent.TimeUnit;
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
 * How fast are the products of a layer of GPT-Neo-1.3B, forward {@code X W^T} and backward {@code dY W}, against OpenBLAS,
 * libtorch and the hardware?
 *
 * <p>Weights change from call to call, so that they come from memory as they do in a model. Each engine must agree with a
 * plain sum in double on a sample of elements before it is timed.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-Xmx2g"})
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class Gemm {
    /** Copies of the weight together fill at least this much. */
    private static final long AT_LEAST = 192L << 20;

    /** tokens x out x in, and the layer of GPT-Neo-1.3B that it comes from. */
    public enum Shape {
        /** q, k, v, out projection, 128 tokens. */
        ATTENTION_128(128, 2048, 2048),
        /** first layer of the MLP, 128 tokens. */
        MLP_IN_128(128, 8192, 2048),
        /** second layer of the MLP, 128 tokens. */
        MLP_OUT_128(128, 2048, 8192),
        /** q, k, v, out projection, 64 tokens. */
        ATTENTION_64(64, 2048, 2048),
        /** q, k, v, out projection, 16 tokens: bound by memory. */
        ATTENTION_16(16, 2048, 2048),
        /** first layer of the MLP, 16 tokens. */
        MLP_IN_16(16, 8192, 2048),
        /** second layer of the MLP, 16 tokens. */
        MLP_OUT_16(16, 2048, 8192),
        /** one token. */
        ATTENTION_1(1, 2048, 2048),
        /** the square that everybody quotes. */
        SQUARE_1024(1024, 1024, 1024);

        private final int tokens;
        private final int out;
        private final int in;

        Shape(int tokens, int out, int in) {
            this.tokens = tokens;
            this.out = out;
            this.in = in;
        }
    }

    @Param({"obsprop"})
    public String engine;

    @Param
    public Shape shape;

    @Param({"2"})
    public int workers;

    private Multiplier multiplier;
    private Meter meter;
    private int copies;
    private int next;

    @Setup(Level.Trial)
    public void prepare(BenchmarkParams parameters) {
        Random random = new Random(1);
        float[] x = random(random, shape.tokens * shape.in);
        float[] weight = random(random, shape.out * shape.in);
        copies = (int) Math.max(2, AT_LEAST / (4L * weight.length));
        multiplier = Engine.named(Multiplier.class, engine);
        multiplier.prepare(workers, x, weight, copies, shape.tokens, shape.out, shape.in);
        proveAgreement(x, weight);
        String method = parameters.getBenchmark().substring(parameters.getBenchmark().lastIndexOf('.') + 1);
        int bytesPerWeight = engine.endsWith("16") ? 2 : 4;
        meter = new Meter(
                method + " " + shape + " " + engine, 2.0 * shape.tokens * weight.length,
                (double) bytesPerWeight * weight.length, workers);
    }

    private static float[] random(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = random.nextFloat() - 0.5f;
        }
        return values;
    }

    private void proveAgreement(float[] x, float[] w) {
        multiplier.forward(0);
        multiplier.backward(copies - 1);
        float[] y = multiplier.y();
        float[] dx = multiplier.dx();
        double relative = engine.endsWith("16") ? 0x1p-8 : 0x1p-20;
        for (int sample = 0; sample < 200; sample++) {
            int t = sample % shape.tokens;
            int o = sample * 37 % shape.out;
            int i = sample * 41 % shape.in;
            double sumY = 0;
            for (int j = 0; j < shape.in; j++) {
                sumY += (double) x[t * shape.in + j] * w[o * shape.in + j];
            }
            double sumDx = 0;
            for (int j = 0; j < shape.out; j++) {
                sumDx += (double) y[t * shape.out + j] * w[j * shape.in + i];
            }
            agree(y[t * shape.out + o], sumY, relative * Math.sqrt(shape.in));
            agree(dx[t * shape.in + i], sumDx, relative * shape.out);
        }
    }

    private void agree(double actual, double expected, double tolerance) {
        if (!(Math.abs(actual - expected) <= tolerance)) {
            throw new IllegalStateException(engine + " gives " + actual + " where " + expected + " is right");
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
        multiplier.close();
    }

    @Benchmark
    public void forward() {
        multiplier.forward(turn());
    }

    @Benchmark
    public void backward() {
        multiplier.backward(turn());
    }

    private int turn() {
        meter.call();
        next = next + 1 == copies ? 0 : next + 1;
        return next;
    }
}
