package obsprop.cli.commands;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import obsprop.cuda.CudaLoader;

/** The CUDA emulator that the tests of native have built, chosen until it is closed. */
final class EmulatedCuda implements AutoCloseable {
    private static final long DEFAULT_MEMORY = 4L << 30;

    private final Path library = Path.of(System.getProperty("obsprop.root"), "native/target/emulator/libobsprop-cuda-emulator.so");

    /** Skips the test, with a message, where there is no emulator. */
    EmulatedCuda() {
        assumeTrue(Files.exists(library), () -> "no CUDA emulator: the tests of native have not built " + library);
        System.setProperty(CudaLoader.DRIVER, library.toString());
        System.setProperty(CudaLoader.CUBLAS, library.toString());
    }

    /** From now on the device has this much memory. */
    @SuppressWarnings("restricted") // the emulator's own function
    void limitMemory(long bytes) {
        SymbolLookup symbols = SymbolLookup.libraryLookup(library, Arena.global());
        MethodHandle limit = Linker.nativeLinker()
                .downcallHandle(symbols.findOrThrow("emulator_limit_memory"), FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG));
        try {
            limit.invokeExact(bytes);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        limitMemory(DEFAULT_MEMORY);
        System.clearProperty(CudaLoader.DRIVER);
        System.clearProperty(CudaLoader.CUBLAS);
    }
}
