package obsprop.bench.peers;

import static org.bytedeco.openblas.global.openblas.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas.CblasTrans;
import static org.bytedeco.openblas.global.openblas.blas_set_num_threads;
import static org.bytedeco.openblas.global.openblas.cblas_sgemm;

import java.util.ArrayList;
import java.util.List;
import obsprop.bench.Multiplier;
import org.bytedeco.javacpp.FloatPointer;

/** OpenBLAS by the JavaCPP presets, with the kernels that it chooses for this processor. */
public class OpenBlas implements Multiplier {
    private final List<FloatPointer> weights = new ArrayList<>();
    private FloatPointer x;
    private FloatPointer y;
    private FloatPointer dx;
    private int tokens;
    private int out;
    private int in;

    /** With its AVX-512 kernels, whatever the processor: it does not choose them on every one that has AVX-512. */
    public static final class Avx512 extends OpenBlas {
        @Override
        public String name() {
            return "openblas-avx512";
        }

        @Override
        public void prepare(int threads, float[] input, float[] weight, int copies, int rows, int outputs, int inputs) {
            Environment.set("OPENBLAS_CORETYPE", "SKYLAKEX");
            super.prepare(threads, input, weight, copies, rows, outputs, inputs);
        }
    }

    @Override
    public String name() {
        return "openblas";
    }

    @Override
    public void prepare(int threads, float[] input, float[] weight, int copies, int rows, int outputs, int inputs) {
        blas_set_num_threads(threads);
        tokens = rows;
        out = outputs;
        in = inputs;
        x = new FloatPointer(input);
        y = new FloatPointer((long) rows * outputs);
        dx = new FloatPointer((long) rows * inputs);
        for (int i = 0; i < copies; i++) {
            weights.add(new FloatPointer(weight));
        }
    }

    @Override
    public void forward(int copy) {
        cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasTrans, tokens, out, in, 1f, x, in, weights.get(copy), in, 0f, y, out);
    }

    @Override
    public void backward(int copy) {
        cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasNoTrans, tokens, in, out, 1f, y, out, weights.get(copy), in, 0f, dx, in);
    }

    @Override
    public float[] y() {
        return copyOf(y, tokens * out);
    }

    @Override
    public float[] dx() {
        return copyOf(dx, tokens * in);
    }

    private static float[] copyOf(FloatPointer from, int n) {
        float[] values = new float[n];
        from.get(values);
        return values;
    }

    @Override
    public void close() {
        weights.forEach(FloatPointer::close);
        x.close();
        y.close();
        dx.close();
    }
}
