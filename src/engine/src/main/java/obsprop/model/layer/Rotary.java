package obsprop.model.layer;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.RotaryStyle;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Rotary position embedding. The angle of pair i at position p is {@code p * frequency[i]}; cosine and sine are further
 * multiplied by a factor that some scalings use. Angles are rounded to float as the reference implementation's are, so
 * that long positions agree with it.
 */
public final class Rotary {
    private static final int FIRST_POSITIONS = 128;

    private final RotaryStyle style;
    private final float[] frequencies;
    private final double factor;
    private volatile Tables tables = new Tables(0, null, null);

    private record Tables(int positions, Tensor cos, Tensor sin) {}

    /**
     * @param frequencies radians a position of each pair; 2 * frequencies.length coordinates of a head turn
     * @param factor on cosine and sine, usually 1
     */
    public Rotary(RotaryStyle style, float[] frequencies, double factor) {
        this.style = style;
        this.frequencies = frequencies.clone();
        this.factor = factor;
    }

    /** The usual frequencies, {@code theta^(-2i/dims)} for every even 2i below dims; odd dims turn one coordinate more. */
    public static float[] frequencies(double theta, int dims) {
        float[] frequencies = new float[(dims + 1) / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = 1f / (float) Math.pow(theta, (float) (2 * i) / dims);
        }
        return frequencies;
    }

    /** Rotates x [N,H,D] in place by its rows' positions. */
    public void forward(Kernels kernels, Tensor x, int[] positions, int longest) {
        Tables t = tables(kernels, longest);
        kernels.rotate(x, positions, t.cos, t.sin, style, false);
    }

    /** Transposes the rotation of dx [K*N,H,D] in place: rotates back. */
    public void vjp(Kernels kernels, Tensor dx, int[] positions, int longest) {
        Tables t = tables(kernels, longest);
        kernels.rotate(dx, positions, t.cos, t.sin, style, true);
    }

    private Tables tables(Kernels kernels, int positions) {
        Tables t = tables;
        return positions <= t.positions ? t : grow(kernels, positions);
    }

    /** Works without the monitor: kernels have one of their own, which a pass may hold while it asks for tables. */
    private Tables grow(Kernels kernels, int needed) {
        int positions = Math.max(Math.max(FIRST_POSITIONS, needed), 2 * tables.positions);
        Arena arena = Arena.ofAuto();
        Tensor cos = Tensor.allocate(arena, DType.F32, positions, frequencies.length);
        Tensor sin = Tensor.allocate(arena, DType.F32, positions, frequencies.length);
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < frequencies.length; i++) {
                float angle = p * frequencies[i];
                cos.set(Math.cos(angle) * factor, p, i);
                sin.set(Math.sin(angle) * factor, p, i);
            }
        }
        return publish(new Tables(positions, computable(kernels, arena, cos), computable(kernels, arena, sin)));
    }

    /** A copy where the kernels compute: a table is no weight, of which products might want another form. */
    private static Tensor computable(Kernels kernels, Arena arena, Tensor host) {
        Tensor table = kernels.allocate(arena, host.shape());
        kernels.copy(host, table);
        return table;
    }

    private synchronized Tables publish(Tables made) {
        if (made.positions > tables.positions) {
            tables = made;
        }
        return tables;
    }
}
