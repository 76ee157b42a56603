package obsprop.cli.commands;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import obsprop.cli.session.Session;
import obsprop.model.ActivationCache;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.layer.Rules;
import obsprop.propagation.HeadFeatures;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsWriter.Entry;
import obsprop.tensor.io.SafetensorsWriter;

/**
 * The tensors of one traced prompt, all float32: T tokens, L layers, H heads, K observables.
 *
 * <p>They are computed while they are written, a piece at a time, so that memory does not grow with K or with V.
 */
final class TraceTensors {
    /** Elements of a result that are in memory at once, unless a single row or observable needs more. */
    private static final long PIECE = 1L << 24;
    /** Elements that are looked at together. */
    private static final int AT_ONCE = 1 << 12;

    private final Session session;
    private final ActivationCache cache;
    private final Transformer model;
    private final ModelConfig config;
    private final List<Observable> observables;
    private final int row;
    private final Rules rules;

    /** @param row the token whose logits the observables read */
    TraceTensors(Session session, ActivationCache cache, List<Observable> observables, int row, Rules rules) {
        this.session = session;
        this.cache = cache;
        this.model = cache.model();
        this.config = model.config();
        this.observables = observables;
        this.row = row;
        this.rules = rules;
    }

    /** Names and shapes, in the order in which they are written. */
    List<Entry> shapes() {
        int t = cache.segments().rows();
        int l = config.nLayers();
        int h = config.nHeads();
        int d = config.dModel();
        int k = observables.size();
        return List.of(
                new Entry("logits", DType.F32, t, config.dVocab()),
                new Entry("residual", DType.F32, l + 1, t, d),
                new Entry("pattern", DType.F32, l, h, t, t),
                new Entry("gradient", DType.F32, k, l + 1, t, d),
                new Entry("ov_feature", DType.F32, k, l, h, d));
    }

    /** Writes them all to {@code file}, or, where something fails, nothing. */
    void write(Path file, Map<String, String> metadata) {
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, shapes(), metadata)) {
            logits(writer);
            residual(writer);
            pattern(writer);
            gradient(writer);
            features(writer);
            writer.commit();
        }
    }

    private void logits(SafetensorsWriter writer) {
        int rows = cache.segments().rows();
        int piece = piece(config.dVocab());
        for (int first = 0; first < rows; first += piece) {
            try (Arena arena = Arena.ofShared()) {
                int[] some = IntStream.range(first, Math.min(rows, first + piece)).toArray();
                write(host(cache, model.logits(cache, some, arena), arena), "a logit", writer);
            }
        }
    }

    private void residual(SafetensorsWriter writer) {
        for (int l = 0; l <= config.nLayers(); l++) {
            try (Arena arena = Arena.ofShared()) {
                Tensor residual = host(cache, cache.residual(l), arena).unflatten(0, 1, cache.segments().rows());
                write(residual, "the residual stream", writer);
            }
        }
    }

    private void pattern(SafetensorsWriter writer) {
        for (int l = 0; l < config.nLayers(); l++) {
            try (Arena arena = Arena.ofShared()) {
                write(host(cache, cache.pattern(l, 0, arena), arena).unflatten(0, 1, config.nHeads()), "an attention pattern", writer);
            }
        }
    }

    private void gradient(SafetensorsWriter writer) {
        Propagator propagator = new Propagator(model);
        int piece = piece((config.nLayers() + 1L) * cache.segments().rows() * config.dModel());
        for (int first = 0; first < observables.size(); first += piece) {
            try (Arena arena = Arena.ofShared()) {
                List<Propagator.Target> targets = some(first, piece).stream()
                        .map(observable -> new Propagator.Target(observable, row)).toList();
                write(host(cache, propagator.gradients(cache, targets, rules, arena), arena), "a gradient", writer);
            }
        }
    }

    private void features(SafetensorsWriter writer) {
        Propagator propagator = new Propagator(model);
        int piece = piece((long) config.nLayers() * config.nHeads() * config.dModel());
        for (int first = 0; first < observables.size(); first += piece) {
            List<Observable> some = some(first, piece);
            try (Arena arena = Arena.ofShared(); HeadFeatures heads = new HeadFeatures(model, some.size())) {
                Tensor y = propagator.unembed(some, arena);
                Tensor layer = model.kernels().allocate(arena, some.size(), config.nHeads(), config.dModel());
                Tensor all = Tensor.allocate(arena, DType.F32,
                        some.size(), config.nLayers(), config.nHeads(), config.dModel());
                for (int l = 0; l < config.nLayers(); l++) {
                    heads.layer(l, y, layer);
                    model.kernels().copy(layer, all.select(1, l));
                }
                write(all, "an OV feature", writer);
            }
        }
    }

    /** Nothing that is not finite gets into a file. */
    private void write(Tensor piece, String what, SafetensorsWriter writer) {
        float[] some = new float[Math.clamp(piece.elements(), 0, AT_ONCE)];
        for (long at = 0; at < piece.elements(); at += some.length) {
            int count = Math.clamp(piece.elements() - at, 0, some.length);
            MemorySegment.copy(piece.segment(), ValueLayout.JAVA_FLOAT, Float.BYTES * at, some, 0, count);
            if (!finite(some, count)) {
                throw session.notFinite(what);
            }
        }
        writer.write(piece);
    }

    /** A method of its own, called often, on an array: so it is fast early, which reads of a segment are not. */
    private static boolean finite(float[] values, int count) {
        for (int i = 0; i < count; i++) {
            if (!Float.isFinite(values[i])) {
                return false;
            }
        }
        return true;
    }

    private List<Observable> some(int first, int count) {
        return observables.subList(first, Math.min(observables.size(), first + count));
    }

    private static int piece(long elements) {
        return Math.clamp(PIECE / elements, 1, Integer.MAX_VALUE / 2);
    }

    /** A copy of {@code tensor} on the host, in float32. */
    static Tensor host(ActivationCache cache, Tensor tensor, Arena arena) {
        Tensor host = Tensor.allocate(arena, DType.F32, tensor.shape());
        cache.model().kernels().copy(tensor, host);
        return host;
    }
}
