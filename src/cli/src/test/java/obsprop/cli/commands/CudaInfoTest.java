package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import obsprop.cuda.CudaLoader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The command line on the CUDA emulator that the tests of native have built. */
class CudaInfoTest {
    @BeforeEach
    void selectEmulator() {
        Path library = Path.of(System.getProperty("obsprop.root"), "native/target/emulator/libobsprop-cuda-emulator.so");
        assumeTrue(Files.exists(library), () -> "no CUDA emulator: the tests of native have not built " + library);
        System.setProperty(CudaLoader.DRIVER, library.toString());
        System.setProperty(CudaLoader.CUBLAS, library.toString());
    }

    @AfterEach
    void forgetEmulator() {
        System.clearProperty(CudaLoader.DRIVER);
        System.clearProperty(CudaLoader.CUBLAS);
    }

    private static Invocation info(String... more) {
        String[] arguments = {"info", "--device", "cuda", "--model", Fixture.open("llama").directory().toString()};
        return Invocation.of(Stream.of(arguments, more).flatMap(Arrays::stream).toArray(String[]::new));
    }

    @Test
    void measuresWhatCoarserProductsCost() {
        JsonNode backend = info("--json").json().get("backend");
        assertTrue(backend.get("name").asText().contains("emulator"), backend.toString());
        double tf32 = backend.get("logit_errors").get("tf32").asDouble();
        double bf16 = backend.get("logit_errors").get("bf16").asDouble();
        System.out.println("logits of llama: tf32 off by " + tf32 + ", bf16 by " + bf16);
        assertTrue(1e-6 < tf32 && tf32 < bf16 && bf16 < 0.1, tf32 + ", " + bf16);
    }

    @Test
    void speaksToReaders() {
        Invocation run = info();
        assertEquals(0, run.code(), run.err());
        assertTrue(run.out().contains("tf32        logits off by "), run.out());
    }

    /** As with too small a device, for which the emulator's controls are reached through its library. */
    @Test
    @SuppressWarnings("restricted") // the emulator's own function
    void refusesAModelThatDoesNotFit() throws Throwable {
        SymbolLookup library = SymbolLookup.libraryLookup(Path.of(System.getProperty(CudaLoader.DRIVER)), Arena.global());
        MethodHandle limit = Linker.nativeLinker()
                .downcallHandle(library.findOrThrow("emulator_limit_memory"), FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG));
        limit.invokeExact(100L << 10);
        try {
            Invocation run = info();
            assertEquals(2, run.code());
            assertTrue(run.err().matches("(?s).*the weights in .*llama take \\d+ KiB, the CUDA device has 100 KiB free; beside them a"
                    + " pass takes \\d+ KiB a token.* for 1 prompt of \\d+ tokens and 1 observable: use --device cpu.*"), run.err());
        } finally {
            limit.invokeExact(4L << 30);
        }
    }
}
