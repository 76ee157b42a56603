package obsprop.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever is missing, the answer is a reason in words and never an error. */
class CudaLoaderTest {
    @AfterEach
    void forgetSettings() {
        System.clearProperty(CudaLoader.DRIVER);
        System.clearProperty(CudaLoader.CUBLAS);
    }

    private static String reason() {
        return assertInstanceOf(CudaProbe.Absent.class, CudaLoader.probe()).reason();
    }

    @Test
    void machineAsItIs() {
        System.out.println("CUDA here: " + CudaLoader.probe());
        boolean driver = Files.exists(Path.of("/dev/nvidiactl"));
        assumeTrue(!driver, "this machine has an NVIDIA device");
        assertTrue(reason().contains("libcuda.so.1"), reason());
    }

    @Test
    void driverSettingThatNamesNothing() {
        System.setProperty(CudaLoader.DRIVER, "/nowhere/libcuda.so.1");
        assertTrue(reason().contains("/nowhere/libcuda.so.1"), reason());
    }

    @Test
    void driverThatIsNoLibrary(@TempDir Path folder) throws IOException {
        Path text = Files.writeString(folder.resolve("libcuda.so.1"), "not a library");
        System.setProperty(CudaLoader.DRIVER, text.toString());
        assertTrue(reason().contains(text.toString()), reason());
    }

    @Test
    void cublasSettingThatNamesNothing() {
        TestDevice.emulator();
        System.setProperty(CudaLoader.CUBLAS, "/nowhere/libcublas.so.13");
        assertTrue(reason().contains("/nowhere/libcublas.so.13"), reason());
    }

    @Test
    void noDevice() {
        Emulator emulator = TestDevice.emulator();
        emulator.removeDevice();
        assertEquals("the CUDA driver finds no device: as the emulator says (CUDA_ERROR_NO_DEVICE)", reason());
        emulator.reset();
        assertInstanceOf(CudaProbe.Present.class, CudaLoader.probe());
    }

    @Test
    void emulatorSaysWhatItIs() {
        TestDevice.emulator();
        CudaProbe.Present present = assertInstanceOf(CudaProbe.Present.class, CudaLoader.probe());
        System.out.println(present.describe());
        assertTrue(present.name().contains("emulator"), present.name());
        assertEquals(90, present.computeCapability());
    }
}
