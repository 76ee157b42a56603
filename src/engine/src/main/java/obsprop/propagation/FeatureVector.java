package obsprop.propagation;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.tensor.io.SafetensorsWriter;

/**
 * A direction at a site of the residual stream, whose inner product with the activation there predicts (part of) an
 * observable. Host data.
 *
 * @param direction [d]; not copied, not to be changed
 */
public record FeatureVector(double[] direction, Site site, Provenance provenance) {
    /** The tensor's name in a file. */
    public static final String TENSOR = "feature";

    private static final String SITE = "site";

    /** Length of the direction. */
    public double norm() {
        return HostRows.norm(direction);
    }

    /** {@code y . x}. */
    public double dot(double[] x) {
        if (x.length != direction.length) {
            throw new IllegalArgumentException(
                    "a feature vector of width " + direction.length + " and an activation of width " + x.length);
        }
        return HostRows.dot(direction, x);
    }

    /**
     * The sum over several paths.
     *
     * @throws IllegalArgumentException if there are none, or if they live at different sites
     */
    public static FeatureVector sum(List<FeatureVector> vectors) {
        return vectors.stream().reduce(FeatureVector::plus)
                .orElseThrow(() -> new IllegalArgumentException("a sum of feature vectors needs at least one"));
    }

    private FeatureVector plus(FeatureVector other) {
        if (!site.equals(other.site) || direction.length != other.direction.length) {
            throw new IllegalArgumentException("feature vectors at different sites cannot be summed: " + site + " ("
                    + provenance.path() + ") and " + other.site + " (" + other.provenance.path() + ")");
        }
        return new FeatureVector(HostRows.plus(direction, 1, other.direction), site, provenance.plus(other.provenance));
    }

    /** Writes safetensors: {@code feature} [d] F32, site and provenance as metadata; whole or not at all. */
    public void save(Path file) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = Tensor.allocate(arena, DType.F32, direction.length);
            for (int i = 0; i < direction.length; i++) {
                tensor.set(direction[i], i);
            }
            SequencedMap<String, String> metadata = provenance.toMetadata();
            metadata.putFirst(SITE, site.toString());
            SafetensorsWriter.write(file, Map.of(TENSOR, tensor), metadata);
        }
    }

    /**
     * Reads what {@link #save} wrote.
     *
     * @throws FormatException if the file is not such a file; one line says why
     */
    public static FeatureVector load(Path file) {
        return load(file, Optional.empty());
    }

    /**
     * Reads the vector of a file that may say nothing about where it lives.
     *
     * @param at where it lives, whatever the file says
     * @throws FormatException if the file holds no vector; one line says why
     */
    public static FeatureVector load(Path file, Site at) {
        return load(file, Optional.of(at));
    }

    private static FeatureVector load(Path file, Optional<Site> at) {
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile contents = SafetensorsFile.open(file, arena);
            Tensor tensor = contents.tensor(TENSOR);
            if (tensor.rank() != 1 || !tensor.dtype().isReal()) {
                throw FormatException.in(file, "tensor '" + TENSOR + "' is " + tensor + ", expected one real vector [d]");
            }
            double[] direction = tensor.toDoubles();
            for (double value : direction) {
                if (!Double.isFinite(value)) {
                    throw FormatException.in(file, "tensor '" + TENSOR + "' has an element that is " + value);
                }
            }
            Site site = at.orElseGet(() -> site(file, contents.metadata()));
            return new FeatureVector(direction, site, Provenance.ofMetadata(contents.metadata()));
        }
    }

    private static Site site(Path file, Map<String, String> metadata) {
        String text = metadata.get(SITE);
        if (text == null) {
            throw FormatException.in(file, "has no 'site' in its metadata: say where in the residual stream it lives, on the"
                    + " command line with --site, as in residual2@-1");
        }
        try {
            return Site.parse(text);
        } catch (IllegalArgumentException e) {
            throw FormatException.in(file, "its metadata's 'site': " + e.getMessage());
        }
    }
}
