package obsprop.propagation;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import obsprop.model.Point;
import obsprop.model.Transformer;

/**
 * A place in the residual stream, in text {@code residual2@3} or {@code residual2.middle@3}.
 *
 * @param layer the block, or nLayers for the final residual stream (with {@link Point#INPUT})
 * @param position token position, from 0, or from the end of the prompt with -1
 */
public record Site(int layer, Point point, int position) {
    private static final Pattern TEXT = Pattern.compile("residual(\\d{1,6})(\\.middle)?@(-?\\d{1,9})");

    /** @throws IllegalArgumentException if the text is not a site */
    public static Site parse(String text) {
        Matcher m = TEXT.matcher(text.strip());
        if (!m.matches()) {
            throw new IllegalArgumentException("\"" + text.replaceAll("\\p{Cntrl}", "?") + "\" is not a site: expected"
                    + " residualL@T, or residualL.middle@T for the stream between attention and MLP of layer L");
        }
        Point point = m.group(2) == null ? Point.INPUT : Point.MIDDLE;
        return new Site(Integer.parseInt(m.group(1)), point, Integer.parseInt(m.group(3)));
    }

    /**
     * The same site with its position counted from 0.
     *
     * @throws IllegalArgumentException if the model or the prompt has no such site; one line says why
     */
    public Site resolve(Transformer model, int promptLength) {
        int layers = model.config().nLayers();
        int deepest = point == Point.INPUT ? layers : layers - 1;
        if (layer < 0 || layer > deepest) {
            throw new IllegalArgumentException(
                    "site " + this + ": there is no such layer, residual streams are 0.." + deepest);
        }
        if (point == Point.MIDDLE && !model.block(layer).hasMiddle()) {
            throw new IllegalArgumentException("site " + this + ": block " + layer + " runs attention and MLP in"
                    + " parallel, the residual stream has no middle there");
        }
        int resolved = position < 0 ? position + promptLength : position;
        if (resolved < 0 || resolved >= promptLength) {
            throw new IllegalArgumentException("site " + this + ": the prompt has " + promptLength + " tokens, 0.."
                    + (promptLength - 1));
        }
        return new Site(layer, point, resolved);
    }

    @Override
    public String toString() {
        return "residual" + layer + (point == Point.MIDDLE ? ".middle" : "") + "@" + position;
    }
}
