package obsprop.kernel;

import java.util.Optional;
import obsprop.tensor.Tensor;

/**
 * A normalisation over the last axis, of n elements.
 *
 * <p>{@code LAYER}: {@code y = g * (x - mean) * rstd + bias} with {@code rstd = 1/sqrt(mean((x-mean)^2) + epsilon)}, the
 * variance by a second pass. {@code RMS}: {@code y = g * x * rstd} with {@code rstd = 1/sqrt(mean(x^2) + epsilon)}. The
 * effective gain is {@code g = gainOffset + gain} (Gemma stores gain - 1).
 *
 * @param gain [n]
 * @param bias [n], LAYER only
 */
public record NormParameters(Kind kind, double epsilon, double gainOffset, Tensor gain, Optional<Tensor> bias) {
    /** Which statistics are removed. */
    public enum Kind {
        LAYER,
        RMS
    }

    /** n, the number of elements normalised together. */
    public int width() {
        return gain.size(0);
    }
}
