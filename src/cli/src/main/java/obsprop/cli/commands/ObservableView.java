package obsprop.cli.commands;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import obsprop.cli.output.Json;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;
import obsprop.cli.tokens.ResolvedObservable;

/** How every command shows what an observable was taken to mean. */
public final class ObservableView {
    private ObservableView() {
    }

    /** {@code name} and {@code tokens}. */
    public static ObjectNode json(ResolvedObservable observable) {
        ObjectNode object = Json.object().put("name", observable.name());
        object.set("tokens", Json.array(observable.tokens(), token ->
                Json.object().put("id", token.id()).put("text", token.text()).put("weight", token.weight())));
        return object;
    }

    /** The table of token, id and weight of each. */
    public static String text(List<ResolvedObservable> observables) {
        Table table = new Table(Column.text("observable"), Column.text("token"), Column.number("id"), Column.number("weight"));
        for (ResolvedObservable observable : observables) {
            String name = observable.name();
            for (ResolvedObservable.TokenWeight token : observable.tokens()) {
                table.row(name, '"' + token.text() + '"', Integer.toString(token.id()), Numbers.plain(token.weight()));
                name = "";
            }
        }
        return table.toString();
    }
}
