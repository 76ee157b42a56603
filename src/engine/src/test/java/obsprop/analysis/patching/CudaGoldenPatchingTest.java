package obsprop.analysis.patching;

import obsprop.cuda.CudaPrecision;
import obsprop.kernel.cuda.CudaUnderTest;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Head patching and attribution through the CUDA kernels, in fp32. */
class CudaGoldenPatchingTest {
    private final GoldenPatchingTest golden = new GoldenPatchingTest();
    private CudaUnderTest cuda;

    @BeforeEach
    void open() {
        cuda = CudaUnderTest.open(CudaPrecision.FP32);
    }

    @AfterEach
    void close() {
        if (cuda != null) {
            cuda.close();
        }
    }

    @ParameterizedTest
    @MethodSource("obsprop.analysis.patching.GoldenPatchingTest#names")
    void headTables(String name) {
        golden.headTables(name, cuda.kernels());
    }

    @ParameterizedTest
    @MethodSource("obsprop.analysis.patching.GoldenPatchingTest#names")
    void attributionAddsUp(String name) {
        golden.attributionAddsUp(name, cuda.kernels());
    }
}
