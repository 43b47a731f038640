// The API's document for people (/api/v1/docs). A signed-in person tries it with their session.
// An operation's head is a button as a whole: its path is no link inside of it, which keyboards could not reach well.
const withoutLinksInButtons = (system) => ({
    components: { DeepLink: ({ text }) => system.React.createElement("span", null, text) },
});
const place = document.getElementById("api-docs");
SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    persistAuthorization: true,
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [withoutLinksInButtons],
    requestInterceptor: (request) => {
        request.headers["X-CSRFToken"] = place.dataset.csrf;
        return request;
    },
});
