package obsprop.bench.peers;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.util.stream.IntStream;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** What the libtorch peers share. */
final class Torch {
    private Torch() {}

    /** Memory for arrays; the first call sets the number of threads. */
    static NDManager open(int threads) {
        System.setProperty("ai.djl.pytorch.num_threads", Integer.toString(threads));
        System.setProperty("OPT_OUT_TRACKING", "true");
        return NDManager.newBaseManager(ai.djl.Device.cpu(), "PyTorch");
    }

    /** A copy where libtorch itself would put it, aligned as it likes, in F32. */
    static NDArray copy(NDManager manager, Tensor tensor) {
        Shape shape = new Shape(IntStream.of(tensor.shape()).asLongStream().toArray());
        if (tensor.dtype() != DType.F32 || !tensor.isContiguous()) {
            return copy(manager, tensor.toFloats(), shape);
        }
        var bytes = tensor.segment().asSlice(0, tensor.elements() * Float.BYTES).asByteBuffer();
        try (NDArray view = manager.create(bytes.order(java.nio.ByteOrder.nativeOrder()), shape, DataType.FLOAT32)) {
            return view.duplicate();
        }
    }

    static NDArray copy(NDManager manager, float[] values, Shape shape) {
        try (NDArray given = manager.create(values, shape)) {
            return given.duplicate();
        }
    }
}
