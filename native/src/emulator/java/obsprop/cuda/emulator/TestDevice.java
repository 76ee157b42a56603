package obsprop.cuda.emulator;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.util.Optional;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaLoader;
import obsprop.cuda.CudaProbe;

/** The device that tests run on: the emulator, or with {@code -Dobsprop.require=cuda} a real card and nothing else. */
public final class TestDevice {
    private static final String REQUIRE = "obsprop.require";

    private TestDevice() {}

    /** Whether a real card was demanded. */
    public static boolean mustBeReal() {
        return "cuda".equals(System.getProperty(REQUIRE));
    }

    /** The emulator; skips the test, with a message, without g++ or where a real card was demanded. */
    public static Emulator emulator() {
        assumeTrue(!mustBeReal(), "for the emulator only, and -D" + REQUIRE + "=cuda demands a card");
        Optional<Emulator> emulator = Emulator.install(Path.of(System.getProperty("obsprop.root")));
        assumeTrue(emulator.isPresent(), "no g++ here, so no CUDA emulator: the CUDA path is not tested");
        return emulator.orElseThrow();
    }

    /** Opens {@link #present}. */
    public static CudaDevice open() {
        return present().open();
    }

    /** The device; skips the test without g++, fails it where a card was demanded and there is none. */
    public static CudaProbe.Present present() {
        if (!mustBeReal()) {
            emulator();
        }
        return switch (CudaLoader.probe()) {
            case CudaProbe.Present present -> {
                if (mustBeReal() && present.name().contains("emulator")) {
                    fail("-D" + REQUIRE + "=cuda demands a card, this is " + present.name());
                }
                yield present;
            }
            case CudaProbe.Absent(String reason) -> fail("no CUDA device: " + reason);
        };
    }
}
