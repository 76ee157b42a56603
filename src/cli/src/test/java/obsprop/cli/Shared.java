package obsprop.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** The models and tokenizers that are too large to keep in the project. */
public final class Shared {
    private Shared() {
    }

    /** The path {@code name} there; without it the test is skipped. */
    public static Path path(String name) {
        Path path = Path.of(System.getProperty("obsprop.shared")).resolve(name);
        Assumptions.assumeTrue(Files.exists(path), path + " is absent; -Dobsprop.shared=DIR says where to look");
        return path;
    }
}
