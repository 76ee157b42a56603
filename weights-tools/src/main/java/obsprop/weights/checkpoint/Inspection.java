package obsprop.weights.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.weights.JsonText;

/**
 * What a tensor holds.
 *
 * @param norm Euclidean norm of the finite elements; 0 for types that are not real numbers
 * @param largest largest absolute value of the finite elements
 * @param nans elements that are NaN
 * @param infinities elements that are infinite
 * @param sha256 of the data as stored, in hexadecimal
 */
public record Inspection(
        String name, Tensor tensor, double norm, double largest, long nans, long infinities, String sha256) {
    private static final int CHUNK = 1 << 17;

    /** Every tensor of one file, in the order of its header; memory stays bounded. */
    public static List<Inspection> of(SafetensorsFile file) {
        List<Inspection> all = new ArrayList<>();
        for (String name : file.names()) {
            all.add(of(name, file.tensor(name)));
        }
        return all;
    }

    private static Inspection of(String name, Tensor tensor) {
        Sums sums = new Sums();
        if (tensor.dtype().isReal()) {
            double[] values = new double[CHUNK];
            for (long first = 0; first < tensor.elements(); first += CHUNK) {
                int count = (int) Math.min(CHUNK, tensor.elements() - first);
                RealCodec.read(tensor.segment(), tensor.dtype(), first, values, count);
                sums.add(values, count);
            }
        }
        return new Inspection(
                name, tensor, Math.sqrt(sums.squares), sums.largest, sums.nans, sums.infinities, hash(tensor.segment()));
    }

    private static final class Sums {
        private double squares;
        private double largest;
        private long nans;
        private long infinities;

        void add(double[] values, int count) {
            for (int i = 0; i < count; i++) {
                double magnitude = Math.abs(values[i]);
                if (magnitude <= Double.MAX_VALUE) {
                    squares += magnitude * magnitude;
                    largest = Math.max(largest, magnitude);
                } else if (Double.isNaN(magnitude)) {
                    nans++;
                } else {
                    infinities++;
                }
            }
        }
    }

    private static String hash(MemorySegment data) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
        for (long at = 0; at < data.byteSize(); at += CHUNK) {
            digest.update(data.asSlice(at, Math.min(CHUNK, data.byteSize() - at)).asByteBuffer());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** For {@code --json}. */
    public Map<String, Object> fields() {
        return JsonText.object(
                "name", name, "dtype", tensor.dtype().name(), "shape", tensor.shape(), "elements", tensor.elements(),
                "norm", norm, "largest", largest, "nan", nans, "infinite", infinities, "sha256", sha256);
    }

    /** One line of a table: name, type, shape, norm, largest, flaws, start of the hash. */
    public String line(int nameWidth) {
        String flaws = (nans > 0 ? "  " + nans + " NaN" : "") + (infinities > 0 ? "  " + infinities + " infinite" : "");
        return String.format(Locale.ROOT, "%-" + nameWidth + "s %-5s %-16s norm %-11.5g max %-11.5g %s%s",
                name, tensor.dtype(), Arrays.toString(tensor.shape()), norm, largest, sha256.substring(0, 12), flaws);
    }

    /** Opens {@code file} and inspects it. */
    public static List<Inspection> of(Path file) {
        try (Arena arena = Arena.ofShared()) {
            return of(SafetensorsFile.open(file, arena));
        }
    }
}
