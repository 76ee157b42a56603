package obsprop.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Models and data too large to keep in the project; tests that need them skip where they are absent. */
public final class Shared {
    private Shared() {}

    /** A file or folder below the shared folder; skips the test, with a message, if it is not there. */
    public static Path require(String path) {
        Path found = Path.of(System.getProperty("obsprop.shared")).resolve(path);
        assumeTrue(Files.exists(found), () -> "skipped: " + found + " is not here (set -Dobsprop.shared)");
        return found;
    }
}
