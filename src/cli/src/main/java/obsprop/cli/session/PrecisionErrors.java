package obsprop.cli.session;

import java.lang.foreign.Arena;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import obsprop.backend.Backend;
import obsprop.cuda.CudaPrecision;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/** How far coarser products take a model's logits from those of true single precision, on a CUDA device. */
public final class PrecisionErrors {
    private static final int TOKENS = 32;
    private static final int SEED = 20;

    private PrecisionErrors() {}

    /** For each coarser precision the largest error of a logit over max(1, largest logit); nothing on a CPU. */
    public static Map<CudaPrecision, Double> measure(Session session) {
        Map<CudaPrecision, Double> errors = new EnumMap<>(CudaPrecision.class);
        logits(session, CudaPrecision.FP32).ifPresent(exact -> {
            for (CudaPrecision precision : CudaPrecision.values()) {
                if (precision != CudaPrecision.FP32) {
                    logits(session, precision).ifPresent(coarse -> errors.put(precision, error(exact, coarse)));
                }
            }
        });
        return errors;
    }

    private static double error(float[] exact, float[] coarse) {
        double largest = 1;
        double difference = 0;
        for (int i = 0; i < exact.length; i++) {
            largest = Math.max(largest, Math.abs(exact[i]));
            difference = Math.max(difference, Math.abs(exact[i] - coarse[i]));
        }
        return difference / largest;
    }

    /** The logits of random tokens. */
    private static Optional<float[]> logits(Session session, CudaPrecision precision) {
        return session.backend().with(precision).map(backend -> {
            try (backend;
                    Transformer model = session.model().on(backend.kernels());
                    ActivationCache cache = model.forward(tokens(model.config()), Keep.LAST, model.config().nLayers());
                    Arena arena = Arena.ofShared()) {
                Tensor logits = model.logits(cache, arena);
                Tensor host = Tensor.allocate(arena, logits.dtype(), logits.shape());
                backend.kernels().copy(logits, host);
                return host.toFloats();
            }
        });
    }

    private static Batch tokens(ModelConfig config) {
        int length = Math.min(TOKENS, config.maxPositions());
        return Batch.of(new int[][] {new Random(SEED).ints(length, 0, config.dVocab()).toArray()});
    }
}
