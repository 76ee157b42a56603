package obsprop.cli.session;

import java.nio.file.Path;
import java.util.Optional;
import obsprop.backend.Backend;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.HuggingFaceVocabulary;
import obsprop.cli.tokens.Vocabulary;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.family.DemoModel;
import obsprop.model.family.ModelLoader;

/**
 * A model opened for one command.
 *
 * @param name the name of its directory, as results give it
 * @param directory where it lies
 */
public record Session(String name, Path directory, Backend backend, Transformer model, Vocabulary vocabulary)
        implements AutoCloseable {
    /** Opens the model in {@code directory}, or the demo model. */
    public static Session open(Optional<Path> directory, Backend.Choice choice) {
        Path path = directory.orElseGet(Session::demo);
        Backend backend = Backend.select(choice);
        Transformer model;
        try {
            Room.require(path, backend, choice.residency());
            model = ModelLoader.open(path, backend.kernels());
        } catch (RuntimeException e) {
            backend.close();
            throw e;
        }
        try {
            Vocabulary vocabulary = HuggingFaceVocabulary.of(path, model.config().dVocab());
            return new Session(path.toAbsolutePath().normalize().getFileName().toString(), path, backend, model, vocabulary);
        } catch (RuntimeException e) {
            model.close();
            backend.close();
            throw e;
        }
    }

    /** The demo model's directory, which is removed when this process ends, even by a signal. */
    private static Path demo() {
        DemoModel demo = DemoModel.unpack();
        Runtime.getRuntime().addShutdownHook(new Thread(demo::close, "remove-demo-model"));
        return demo.directory();
    }

    /** The sizes of the model. */
    public ModelConfig config() {
        return model.config();
    }

    /**
     * Checks numbers that a command promises, before any of them is written or printed.
     *
     * @param what they are, for the message
     * @throws UsageException where one is not finite, as with weights that are not
     */
    public void requireFinite(String what, double... values) {
        for (double value : values) {
            if (!Double.isFinite(value)) {
                throw notFinite(what);
            }
        }
    }

    /** The same for a table. */
    public void requireFinite(String what, double[][] rows) {
        for (double[] row : rows) {
            requireFinite(what, row);
        }
    }

    /** The error of a {@code what} that is not finite. */
    public UsageException notFinite(String what) {
        return new UsageException(what + " is not finite: the weights may hold NaN or infinities ('obsprop weights verify "
                + directory + "' finds them), or an observable's weights are too large");
    }

    @Override
    public void close() {
        vocabulary.close();
        model.close();
        backend.close();
    }
}
