package obsprop.weights.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.zip.CRC32;
import obsprop.tensor.DType;
import obsprop.tensor.io.SafetensorsWriter.Entry;
import obsprop.weights.OutputDirectory;
import obsprop.weights.SeededRandom;

/**
 * Random weights that make a model with sane activations. Each tensor has its own stream of random numbers, numbered by
 * its name, so its values depend on seed, name and shape only, not on type, sharding or the other tensors.
 */
public final class RandomCheckpoint {
    private static final int CHUNK = 1 << 18;
    private static final double GAIN_SPREAD = 0.1;
    private static final double BIAS_SPREAD = 0.05;
    private static final double EMBEDDING_SPREAD = 0.05;

    private RandomCheckpoint() {}

    /** How spread out the values are. */
    public enum Spread {
        /** Everything random, gains and biases too, matrices with variance 1 / inputs: for proving arithmetic. */
        GENERIC,
        /** For training: standard deviation 0.02, smaller for maps into the stream, gains 1, biases 0. */
        TRAINING
    }

    /** Writes {@code specs} as safetensors of type {@code dtype}. */
    public static void write(
            OutputDirectory out, List<TensorSpec> specs, DType dtype, long maxShardBytes, long seed, Spread spread) {
        List<Entry> entries = specs.stream().map(s -> new Entry(s.name(), dtype, s.shape())).toList();
        long layers = Math.max(1, specs.stream().filter(s -> s.role() == TensorSpec.Role.OUTPUT_WEIGHT).count() / 2);
        double[] values = new double[CHUNK];
        try (Arena arena = Arena.ofConfined();
                CheckpointWriter writer = new CheckpointWriter(out, entries, maxShardBytes)) {
            MemorySegment chunk = arena.allocate((long) CHUNK * dtype.bytes(), 64);
            for (TensorSpec spec : specs) {
                Values source = spread == Spread.GENERIC ? generic(spec) : training(spec, layers);
                SeededRandom random = SeededRandom.stream(seed, number(spec.name()));
                for (long left = spec.elements(); left > 0; ) {
                    int count = (int) Math.min(CHUNK, left);
                    for (int i = 0; i < count; i++) {
                        values[i] = source.centre + source.deviation * random.nextBell();
                    }
                    RealCodec.write(values, count, dtype, chunk, spec.name());
                    writer.write(chunk.asSlice(0, (long) count * dtype.bytes()));
                    left -= count;
                }
            }
            writer.finish();
        }
    }

    private static long number(String name) {
        CRC32 crc = new CRC32();
        crc.update(name.getBytes(StandardCharsets.UTF_8));
        return crc.getValue();
    }

    private record Values(double centre, double deviation) {}

    private static Values generic(TensorSpec spec) {
        return switch (spec.role()) {
            case EMBEDDING -> new Values(0, EMBEDDING_SPREAD);
            case WEIGHT, OUTPUT_WEIGHT -> new Values(0, 1 / Math.sqrt(spec.fanIn()));
            case BIAS -> new Values(0, BIAS_SPREAD);
            case GAIN -> new Values(1, GAIN_SPREAD);
            case GAIN_MINUS_ONE -> new Values(0, GAIN_SPREAD);
        };
    }

    private static Values training(TensorSpec spec, long layers) {
        double deviation = 0.02;
        return switch (spec.role()) {
            case EMBEDDING, WEIGHT -> new Values(0, deviation);
            case OUTPUT_WEIGHT -> new Values(0, deviation / Math.sqrt(2.0 * layers));
            case BIAS, GAIN_MINUS_ONE -> new Values(0, 0);
            case GAIN -> new Values(1, 0);
        };
    }
}
