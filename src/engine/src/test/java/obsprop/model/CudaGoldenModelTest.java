package obsprop.model;

import java.util.List;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.cuda.CudaUnderTest;
import obsprop.testing.Golden;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every fixture through the CUDA kernels, in fp32. */
class CudaGoldenModelTest {
    private final GoldenModelTest golden = new GoldenModelTest();
    private CudaUnderTest cuda;

    static List<String> names() {
        return Golden.names();
    }

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
    @MethodSource("names")
    void forward(String name) {
        golden.forward(name, cuda.kernels());
    }

    @ParameterizedTest
    @MethodSource("names")
    void oneToken(String name) {
        golden.oneToken(name, cuda.kernels());
    }

    @ParameterizedTest
    @MethodSource("names")
    void gradients(String name) {
        golden.gradients(name, cuda.kernels());
    }

    @ParameterizedTest
    @MethodSource("names")
    void headFeatures(String name) {
        golden.headFeatures(name, cuda.kernels());
    }
}
