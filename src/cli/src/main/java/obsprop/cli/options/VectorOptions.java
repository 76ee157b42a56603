package obsprop.cli.options;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.model.Point;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Propagator;
import obsprop.propagation.Site;
import obsprop.tensor.Tensor;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The vectors that a command measures: files that {@code vector} wrote, or observables as they are unembedded. */
public final class VectorOptions {
    @Option(names = "--vector", paramLabel = "FILE",
            description = "a vector that the command vector wrote: safetensors with 'feature' [d]; repeatable")
    private List<Path> files = new ArrayList<>();

    @Option(names = "--site", paramLabel = "SITE",
            description = "where the vectors live, whatever their files say: residual2@-1, residual2.middle@-1"
                    + " (observables: the final residual stream, at the last token)")
    private Optional<String> site;

    @Mixin
    private ObservableOptions observables;

    /** The observables given beside the files, or instead of them; maybe none. */
    public List<ResolvedObservable> observables(Session session) {
        return observables.given() ? observables.resolve(session.vocabulary()) : List.of();
    }

    /** The vectors of the files, in order; where there are none, W_U^T n of each observable. */
    public List<NamedVector> filesOrElseObservables(Session session, CommonOptions common) {
        return files.isEmpty() ? unembedded(session) : fromFiles(session, common);
    }

    /** The vectors of the files, then W_U^T n of each observable. */
    public List<NamedVector> all(Session session, CommonOptions common) {
        List<NamedVector> all = new ArrayList<>(fromFiles(session, common));
        if (observables.given()) {
            all.addAll(unembedded(session));
        }
        if (all.isEmpty()) {
            throw new UsageException("no vector given: name a file with --vector, or an observable with --observable");
        }
        return all;
    }

    private List<NamedVector> fromFiles(Session session, CommonOptions common) {
        List<NamedVector> vectors = new ArrayList<>();
        for (Path file : files) {
            FeatureVector vector = site().map(at -> FeatureVector.load(file, at)).orElseGet(() -> FeatureVector.load(file));
            String made = vector.provenance().model();
            if (vector.direction().length != session.config().dModel()) {
                throw new UsageException(file + " holds a vector of " + vector.direction().length + " elements"
                        + (made.isEmpty() ? "" : ", made with the model " + made) + ", but the residual stream of "
                        + session.name() + " has " + session.config().dModel() + ": give the --model that it was made with");
            }
            if (!made.isEmpty() && !made.equals(session.name())) {
                common.note(file + " was made with the model " + made + ", not with " + session.name());
            }
            boolean twice = files.stream().filter(other -> name(other).equals(name(file))).count() > 1;
            vectors.add(checked(new NamedVector(twice ? file.toString() : name(file), vector.site(), vector.direction()), session));
        }
        return vectors;
    }

    private static String name(Path file) {
        return String.valueOf(file.getFileName()).replaceFirst("\\.safetensors$", "");
    }

    private List<NamedVector> unembedded(Session session) {
        List<ResolvedObservable> resolved = observables.resolve(session.vocabulary());
        Site at = site().orElseGet(() -> new Site(session.config().nLayers(), Point.INPUT, -1));
        List<NamedVector> vectors = new ArrayList<>();
        try (Arena arena = Arena.ofShared()) {
            Propagator propagator = new Propagator(session.model());
            Tensor y = propagator.toHost(
                    propagator.unembed(resolved.stream().map(ResolvedObservable::forEngine).toList(), arena), arena);
            for (int k = 0; k < resolved.size(); k++) {
                vectors.add(checked(new NamedVector(resolved.get(k).name(), at, y.select(0, k).toDoubles()), session));
            }
        }
        return vectors;
    }

    private static NamedVector checked(NamedVector vector, Session session) {
        session.requireFinite("the vector " + vector.name(), vector.direction());
        vector.scored().requireWithin(session.model());
        return vector;
    }

    private Optional<Site> site() {
        return site.map(Site::parse);
    }
}
