package obsprop.weights.checkpoint;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Config;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;

/** Compares the tensors of a model directory with what its configuration implies. */
public final class Verification {
    private Verification() {}

    /** What is wrong, one line a finding; empty if nothing is. */
    public static List<String> problems(Config config, List<SafetensorsFile> files) {
        String prefix = FamilyLayout.prefix(config);
        Map<String, Tensor> found = new LinkedHashMap<>(ModelFiles.tensors(files));
        boolean bare = found.keySet().stream().noneMatch(name -> name.startsWith(prefix));
        List<String> problems = new ArrayList<>();
        for (TensorSpec spec : FamilyLayout.of(config)) {
            String name = bare ? Conversion.Prefix.REMOVE.rename(spec.name(), prefix) : spec.name();
            Tensor tensor = found.remove(name);
            int[] shape = spec.shape().stream().mapToInt(Integer::intValue).toArray();
            if (tensor == null) {
                problems.add(name + ": missing, config.json implies one of shape " + spec.shape());
            } else if (!Arrays.equals(tensor.shape(), shape)) {
                problems.add(name + ": has shape " + Arrays.toString(tensor.shape()) + ", config.json implies "
                        + spec.shape());
            } else if (!tensor.dtype().isReal()) {
                problems.add(name + ": has type " + tensor.dtype() + ", expected F32, F16, BF16 or F64");
            }
        }
        boolean tied = config.booleanOr("tie_word_embeddings", true);
        found.keySet().stream()
                .filter(name -> !ModelLoader.isBuffer(name) && !(tied && name.equals("lm_head.weight")))
                .forEach(name -> problems.add(name + ": not part of a model of this family"));
        for (SafetensorsFile file : files) {
            for (Inspection tensor : Inspection.of(file)) {
                if (tensor.nans() + tensor.infinities() > 0) {
                    problems.add(tensor.name() + ": holds " + tensor.nans() + " NaN and " + tensor.infinities()
                            + " infinite values");
                }
            }
        }
        return problems;
    }

    /**
     * Opens the model with the engine and predicts what follows token 0.
     *
     * @return what is wrong; empty if all logits are finite
     */
    public static List<String> firstPrediction(Path dir) {
        try (Backend backend = Backend.select(Backend.Choice.of(Device.CPU));
                Transformer model = ModelLoader.open(dir, backend.kernels());
                ActivationCache cache = model.forward(Batch.of(new int[] {0}), Keep.LAST, model.config().nLayers());
                Arena arena = Arena.ofShared()) {
            double[] logits = model.logits(cache, arena).toDoubles();
            long broken = Arrays.stream(logits).filter(x -> !Double.isFinite(x)).count();
            return broken == 0 ? List.of() : List.of("predicts " + broken + " logits that are not finite after token 0");
        }
    }
}
