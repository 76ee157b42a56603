package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.node.ObjectNode;
import obsprop.analysis.statistics.Interval;
import obsprop.analysis.statistics.Vectors;
import obsprop.cli.options.NamedVector;
import obsprop.cli.output.Json;

/** How these commands show a vector. */
final class VectorView {
    private VectorView() {
    }

    /** {@code name}, {@code site} and {@code norm}. */
    static ObjectNode json(NamedVector vector) {
        return Json.object().put("name", vector.name()).put("site", vector.site().toString())
                .put("norm", Vectors.norm(vector.direction()));
    }

    /** {@code [low, high]}. */
    static void putInterval(ObjectNode object, String field, Interval interval) {
        object.putArray(field).add(interval.low()).add(interval.high());
    }
}
