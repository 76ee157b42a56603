package obsprop.model;

/**
 * The sizes of a model, whatever its family.
 *
 * @param family the checkpoint's {@code model_type}
 * @param nKvHeads key/value heads; equal to nHeads without grouped-query attention
 * @param maxPositions longest prompt the model was made for
 */
public record ModelConfig(
        String family,
        int nLayers,
        int nHeads,
        int nKvHeads,
        int dModel,
        int dHead,
        int dMlp,
        int dVocab,
        int maxPositions) {}
